package search

import "math/big"

// Convert returns a number of one UCUM unit in another one, exactly. ok is false
// if either code is unknown, or they do not measure the same: mg/dL and mmol/L do
// not, because what a mole weighs depends on the substance.
func Convert(value *big.Rat, from, to string) (converted *big.Rat, ok bool) {
	if from == to {
		return new(big.Rat).Set(value), true
	}
	a, okA := unitOf(from)
	b, okB := unitOf(to)
	if !okA || !okB || a.kind != b.kind {
		return nil, false
	}
	factor := b.factor.rat()
	if factor.Sign() == 0 {
		return nil, false
	}
	out := new(big.Rat).Mul(value, a.factor.rat())
	out.Add(out, a.offset.rat())
	out.Sub(out, b.offset.rat())
	return out.Quo(out, factor), true
}

// rat returns a literal of the unit table as a fraction; 0 if it has no digits.
func (l literal) rat() *big.Rat {
	digits, ok := new(big.Int).SetString(l.digits, 10)
	if !ok {
		return new(big.Rat)
	}
	if l.negative {
		digits.Neg(digits)
	}
	out := new(big.Rat).SetInt(digits)
	power := l.exponent - len(l.digits)
	ten := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(power, -power))), nil))
	if power < 0 {
		return out.Quo(out, ten)
	}
	return out.Mul(out, ten)
}
