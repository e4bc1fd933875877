package pgx

import "testing"

// BenchmarkLoadDrugs reads all drug knowledge; it is done once, at start.
func BenchmarkLoadDrugs(b *testing.B) {
	for b.Loop() {
		if _, err := loadDrugs(Files()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAdvise answers one order with the findings at hand.
func BenchmarkAdvise(b *testing.B) {
	for _, bench := range []struct {
		name     string
		order    Order
		findings []Finding
	}{
		{"clopidogrel, indication open", ordering(clopidogrelTablet), []Finding{cyp2c19PM}},
		{"amitriptyline, two genes", ordering(amitriptyline, orally, because("F32.9")), []Finding{cyp2c19PM, cyp2d6UM}},
		{"standard", ordering(clopidogrelTablet), []Finding{cyp2c19NM}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			table, in := drugs(b), one(bench.order)
			b.ReportAllocs()
			for b.Loop() {
				table.advise(in, bench.findings)
			}
		})
	}
}
