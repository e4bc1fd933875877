package pgx

// The reasons why an order gets no advice. They are logged and counted, and
// hold no patient data. [SilenceReasons] explains them.
const (
	// SilentNotSelected: the order is context; another one is being chosen.
	SilentNotSelected = "not-selected"
	// SilentUnmapped: none of the order's codes stands in our tables.
	SilentUnmapped = "unmapped-order"
	// SilentTextOnly: the order has no code, and its text is not exactly the
	// name of one drug or product. Names that merely look alike never match.
	SilentTextOnly = "text-only"
	// SilentNoGuideline: the drug is known and no guideline row is about it.
	SilentNoGuideline = "no-guideline"
	// SilentRoute: the order is for a route on which the drug does not act on
	// the whole body.
	SilentRoute = "route"
	// SilentCombination: the guideline is about the single ingredient only.
	SilentCombination = "combination"
	// SilentSwitchedOff: the site has switched off this drug or all its genes.
	SilentSwitchedOff = "switched-off"
	// SilentNotTested: no result was found, and the drug is not one for which
	// a test is advised beforehand.
	SilentNotTested = "not-tested"
	// SilentTestOrdered: no result was found, and a test is ordered already.
	SilentTestOrdered = "test-ordered"
	// SilentRepeated: the same advice stands on another order of this call.
	SilentRepeated = "repeated"
	// SilentStandard: the guideline sees no reason to change the labelled dose.
	SilentStandard = "standard"
	// SilentPartial: the same, as far as the genes that were tested show.
	SilentPartial = "standard-partly-tested"
	// SilentNoRecommendation: the guideline has no advice for this result.
	SilentNoRecommendation = "no-recommendation"
	// SilentNoCard: the row that applies asks for no card, because it says what
	// is done anyway.
	SilentNoCard = "no-card"
	// SilentPopulation: the guideline's rows are about other patients.
	SilentPopulation = "population"
	// SilentCondition: a row applies, and its condition for a card is not met,
	// such as a dose above its limit.
	SilentCondition = "condition-not-met"
	// SilentDoseUnknown: the rows depend on a daily dose that the order does
	// not give.
	SilentDoseUnknown = "dose-unknown"
)

// SilenceReasons explains every reason, in the order of the documentation.
func SilenceReasons() [][2]string {
	return [][2]string{
		{SilentNotSelected, "the order is context; another one is being chosen"},
		{SilentUnmapped, "none of the order's codes stands in the product tables"},
		{SilentTextOnly, "the order has no code, and its text is not exactly the name of one drug or product"},
		{SilentNoGuideline, "the drug is known, and no guideline row is about it"},
		{SilentRoute, "the order is for a route on which the drug does not act on the whole body"},
		{SilentCombination, "the guideline is about the single ingredient only"},
		{SilentSwitchedOff, "the site has switched off this drug or all its genes"},
		{SilentNotTested, "no result was found, and the drug is not one for which a test is advised beforehand"},
		{SilentTestOrdered, "no result was found, and a test is ordered already"},
		{SilentRepeated, "the same advice stands on another order of this call"},
		{SilentStandard, "the guideline sees no reason to change the labelled dose"},
		{SilentPartial, "the same, as far as the genes that were tested show"},
		{SilentNoRecommendation, "the guideline has no advice for this result"},
		{SilentNoCard, "the row that applies asks for no card, because it says what is done anyway"},
		{SilentPopulation, "the guideline's rows are about other patients"},
		{SilentCondition, "a row applies, and its condition for a card is not met, such as a dose above its limit"},
		{SilentDoseUnknown, "the rows depend on a daily dose that the order does not give"},
	}
}
