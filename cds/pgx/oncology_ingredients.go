package pgx

// IngredientCodes finds the RxCUIs of the ingredients an order stands for,
// whether or not a gene matters for them. ok says that something of the order
// stands in the tables, byName that it was its text.
func (k *Knowledge) IngredientCodes(codes []Code, text string) (rxcuis []string, byName, ok bool) {
	r := k.drugs.resolve(codes, text)
	return r.ingredients, r.byName, r.mapped
}
