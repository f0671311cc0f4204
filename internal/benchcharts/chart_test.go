package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChartIsXMLWithAllTexts(t *testing.T) {
	t.Parallel()
	texts := textsOf(t, sampleChart().svg())
	for _, text := range []string{"Time & units <here>", "the plain way", "Time", "Units", "100 flags", "some", "all", "12 %", "0 of 101", "0 %", "100 %"} {
		assert.Contains(t, texts, text)
	}
}

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	t.Parallel()
	var widths []float64
	forEachElement(t, sampleChart().svg(), func(element xml.StartElement) {
		if attribute(element, "class") == "bar" {
			width, err := strconv.ParseFloat(attribute(element, "width"), 64)
			require.NoError(t, err)
			widths = append(widths, width)
		}
	})
	require.Len(t, widths, 4) // row by row
	assert.InDelta(t, 12.0/100, widths[0]/widths[2], 0.01, "the first panel ends at 100 %")
	assert.Zero(t, widths[1])
	assert.InDelta(t, widths[2], widths[3], 0.1, "all panels have the same width")
}

func TestBarsStayInsideThePicture(t *testing.T) {
	t.Parallel()
	forEachElement(t, sampleChart().svg(), func(element xml.StartElement) {
		if x, err := strconv.ParseFloat(attribute(element, "x"), 64); err == nil {
			assert.Less(t, x, float64(width))
		}
	})
}

func sampleChart() chart {
	return chart{
		title:    "Time & units <here>",
		baseline: "the plain way",
		panels:   []string{"Time", "Units"},
		groups: []group{{"100 flags", []row{
			{"some", []bar{{12, "12 %"}, {0, "0 of 101"}}},
			{"all", []bar{{100, "100 %"}, {250, "250 of 100"}}},
		}}},
	}
}

func textsOf(t *testing.T, svg string) []string {
	var texts []string
	forEachToken(t, svg, func(token xml.Token) {
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	})
	return texts
}

func forEachElement(t *testing.T, svg string, visit func(xml.StartElement)) {
	forEachToken(t, svg, func(token xml.Token) {
		if element, ok := token.(xml.StartElement); ok {
			visit(element)
		}
	})
}

func forEachToken(t *testing.T, svg string, visit func(xml.Token)) {
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		visit(token)
	}
}

func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
