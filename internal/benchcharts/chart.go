package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A chart shows how things compare with a baseline, which is 100 %: a horizontal
// bar for each thing, in groups from top to bottom, in panels side by side.
type chart struct {
	title    string
	baseline string
	panels   []string // what their bars measure
	groups   []group
}

type group struct {
	label string
	rows  []row
}

type row struct {
	label string
	bars  []bar // one for each panel
}

type bar struct {
	percent float64
	label   string
}

// Where things are, in pixels.
const (
	width       = 880
	margin      = 24
	top         = 92 // of the first group, under the title and the panels' names
	labelWidth  = 236
	groupWidth  = 108 // of labelWidth
	panelGap    = 24
	valueWidth  = 124 // what a bar's label may take beyond its end
	rowHeight   = 24
	barHeight   = 14
	groupGap    = 14
	axisHeight  = 58
	cornerRound = 8
)

// style has colors for readers of light and of dark pages. The chart has a
// background of its own, so that it can be read on any.
const style = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.head { font-weight: 600; }
.faint { fill: #59636e; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.value { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; }
.bar { fill: #2f6feb; }
.grid { stroke: #e4e8ec; }
.base { stroke: #bc4c00; stroke-width: 1.5; }
.basetext { fill: #bc4c00; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.faint { fill: #9198a1; }
.page { fill: #0d1117; stroke: #3d444d; }
.value { stroke: #0d1117; }
.bar { fill: #58a6ff; }
.grid { stroke: #2a313c; }
.base { stroke: #f0883e; }
.basetext { fill: #f0883e; }
}`

// svg draws the chart.
func (c chart) svg() string {
	var p picture
	bottom := top - groupGap
	for _, g := range c.groups {
		bottom += groupGap + rowHeight*len(g.rows)
	}
	height := bottom + axisHeight
	p.addf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">`, width, height)
	p.addf(`<title>%s</title>`, html.EscapeString(c.title))
	p.addf(`<style>%s</style>`, style)
	p.addf(`<rect class="page" x="0.5" y="0.5" width="%d" height="%d" rx="%d"/>`, width-1, height-1, cornerRound)
	p.text(margin, 36, "start", "title", c.title)

	for i, name := range c.panels {
		c.panel(i).drawAxis(&p, name, c.baseline, bottom)
	}
	y := top
	for _, g := range c.groups {
		p.text(margin, y+rowHeight/2, "start", "head", g.label)
		for _, r := range g.rows {
			p.text(margin+groupWidth, y+rowHeight/2, "start", "", r.label)
			for i, b := range r.bars {
				c.panel(i).drawBar(&p, b, y)
			}
			y += rowHeight
		}
		y += groupGap
	}
	p.addf(`</svg>`)
	return p.String()
}

// A panel is where bars of one measure are, and their scale.
type panel struct {
	left, width float64
	max         float64 // percent at the right end
}

func (c chart) panel(i int) panel {
	n := float64(len(c.panels))
	room := (width - 2*margin - labelWidth - panelGap*(n-1)) / n
	p := panel{left: margin + labelWidth + float64(i)*(room+panelGap), width: room - valueWidth, max: 100}
	for _, g := range c.groups {
		for _, r := range g.rows {
			p.max = max(p.max, r.bars[i].percent)
		}
	}
	return p
}

func (p panel) x(percent float64) float64 { return p.left + p.width*percent/p.max }

func (p panel) drawAxis(pic *picture, name, baseline string, bottom int) {
	pic.text(p.left, top-22, "start", "head", name)
	step := 50 * math.Ceil(p.max/200) // some four lines
	for percent := 0.0; percent <= p.max; percent += step {
		if percent != 100 {
			pic.line("grid", p.x(percent), top-6, bottom+4)
		}
		pic.text(p.x(percent), bottom+18, "middle", "faint", fmt.Sprintf("%g %%", percent))
	}
	pic.line("base", p.x(100), top-6, bottom+4)
	pic.text(p.x(100), bottom+38, "middle", "basetext", baseline)
}

func (p panel) drawBar(pic *picture, b bar, y int) {
	pic.addf(`<rect class="bar" x="%.1f" y="%d" width="%.1f" height="%d" rx="1"/>`,
		p.left, y+(rowHeight-barHeight)/2, p.x(b.percent)-p.left, barHeight)
	pic.text(p.x(b.percent)+8, y+rowHeight/2, "start", "value", b.label)
}

// A picture is the text of an SVG file.
type picture struct{ strings.Builder }

func (p *picture) addf(format string, values ...any) { fmt.Fprintf(p, format+"\n", values...) }

// text writes a line around the height y.
func (p *picture) text(x float64, y int, anchor, class, text string) {
	p.addf(`<text x="%.1f" y="%d" dominant-baseline="central" text-anchor="%s" class="%s">%s</text>`,
		x, y, anchor, class, html.EscapeString(text))
}

func (p *picture) line(class string, x float64, top, bottom int) {
	p.addf(`<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, class, x, top, x, bottom)
}
