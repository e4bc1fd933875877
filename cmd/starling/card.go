package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/starling-fhir/starling/cds"
)

// cardWidth is the width cards are wrapped to, in characters.
const cardWidth = 92

// printCard prints a card for a terminal: what an EHR would show, as text.
func printCard(w io.Writer, card cds.Card) {
	fmt.Fprintf(w, "  [%s] %s\n\n", strings.ToUpper(card.Indicator), wrap(card.Summary, "    ", cardWidth))
	for _, block := range plainText(card.Detail) {
		fmt.Fprintln(w, strings.TrimRight("    "+wrap(block.text, "    "+strings.Repeat(" ", block.indent), cardWidth), " "))
	}
	if len(card.Suggestions) > 0 {
		fmt.Fprintln(w)
	}
	for _, suggestion := range card.Suggestions {
		fmt.Fprintf(w, "    ( %s )\n", suggestion.Label)
	}
	fmt.Fprintf(w, "\n    Source: %s\n", card.Source.Label)
	for _, link := range card.Links {
		fmt.Fprintf(w, "    %s\n", link.URL)
	}
	fmt.Fprintln(w)
}

// textBlock is a paragraph or list item.
type textBlock struct {
	text   string
	indent int // of the lines after the first
}

// plainText turns the Markdown of a card's detail, https://cds-hooks.hl7.org/2.0/#card-attributes,
// into lines to read as they are: tables become "heading: cell" lines, escapes
// and emphasis go.
func plainText(markdown string) []textBlock {
	var blocks []textBlock
	var heads []string
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			heads = nil
			switch {
			case strings.HasPrefix(line, "- "):
				blocks = append(blocks, textBlock{unescape(line), 2})
			default:
				blocks = append(blocks, textBlock{unescape(strings.TrimLeft(line, "# ")), 0})
			}
			continue
		}
		cells := tableCells(line)
		switch {
		case heads == nil:
			heads = cells
		case strings.Trim(strings.Join(cells, ""), ":- ") == "":
		default:
			var parts []string
			for i, cell := range cells {
				if i < len(heads) && cell != "" {
					parts = append(parts, strings.ToLower(heads[i][:1])+heads[i][1:]+" "+cell)
				}
			}
			blocks = append(blocks, textBlock{"- " + strings.Join(parts, ", "), 2})
		}
	}
	return blocks
}

// tableCells cuts a row of a Markdown table.
func tableCells(line string) []string {
	line = strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|")
	var cells []string
	start := 0
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line) || line[i] == '|':
			cells = append(cells, unescape(strings.TrimSpace(line[start:i])))
			start = i + 1
		case line[i] == '\\':
			i++
		}
	}
	return cells
}

// unescape undoes Markdown's backslashes and drops emphasis.
func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && strings.IndexByte("\\`*_{}[]()#+-.!|<>~", text[i+1]) >= 0:
			i++
			out.WriteByte(text[i])
		case text[i] == '*':
		default:
			out.WriteByte(text[i])
		}
	}
	return out.String()
}

// wrap breaks text at spaces so that lines have at most width characters where
// possible; lines after the first start with indent.
func wrap(text, indent string, width int) string {
	var out strings.Builder
	column := len(indent)
	for i, word := range strings.Fields(text) {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+length > width:
			out.WriteString("\n" + indent)
			column = len(indent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += length
	}
	return out.String()
}
