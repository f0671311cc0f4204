package main

import (
	"math"
	"slices"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/bench/svg"
)

// A chart shows how ours compares with another store, which is 100%: panels
// side by side, each with a horizontal bar for each row.
type chart struct {
	title  string
	panels []panel
	rows   []row // from top to bottom
}

type panel struct {
	title, unit string
	percents    []float64 // by row
}

type row struct {
	group, label string   // rows of the same group stand together
	benchmarks   []string // one for each panel, or one for all
}

// compare fills the panels in.
func (c *chart) compare(rs *results, with string) error {
	for i := range c.panels {
		p := &c.panels[i]
		for _, r := range c.rows {
			ours, baseline, err := rs.compare(r.benchmarks[i%len(r.benchmarks)], p.unit, "ours", with)
			if err != nil {
				return err
			}
			p.percents = append(p.percents, 100*ours/baseline)
		}
	}
	return nil
}

// Sizes, in points.
const (
	titleHeight = 26 // of a panel
	groupWidth  = 84
	labelWidth  = 120 // besides groupWidth
	panelGap    = 20
	rowHeight   = 18
	barHeight   = 10
	axisHeight  = 20
)

// groupGap is the space between two groups, in rows.
const groupGap = 0.7

// save draws the chart into an SVG file.
func (c chart) save(path string) error {
	places := c.places()
	rows := vg.Length(places[0] + 1) // the first row is the highest
	return svg.Draw(path, c.title, titleHeight+rows*rowHeight+axisHeight, func(inside draw.Canvas) error {
		area := draw.Crop(inside, groupWidth+labelWidth, 0, 0, -titleHeight)
		panelWidth := area.Size().X / vg.Length(len(c.panels))
		for i, p := range c.panels {
			left, right := vg.Length(i)*panelWidth, vg.Length(i+1)*panelWidth-panelGap
			part := draw.Crop(area, left, right-area.Size().X, 0, 0)
			part.FillText(svg.Text(11, xfont.WeightBold), vg.Point{X: part.Min.X, Y: part.Max.Y + 12}, p.title)
			plt, err := p.plot(places)
			if err != nil {
				return err
			}
			plt.Draw(part)
			if i == 0 {
				c.drawLabels(inside, places, plt.DataCanvas(part), plt)
			}
		}
		return nil
	})
}

// places returns the heights of the rows. A plot counts from its bottom.
func (c chart) places() []float64 {
	places := make([]float64, len(c.rows))
	for i := len(c.rows) - 2; i >= 0; i-- {
		places[i] = places[i+1] + 1
		if c.rows[i].group != c.rows[i+1].group {
			places[i] += groupGap
		}
	}
	return places
}

// drawLabels names the rows beside the panels.
func (c chart) drawLabels(canvas draw.Canvas, places []float64, data draw.Canvas, plt *plot.Plot) {
	_, height := plt.Transforms(&data)
	for i, r := range c.rows {
		y := height(places[i])
		if i == 0 || r.group != c.rows[i-1].group {
			canvas.FillText(svg.Text(10, xfont.WeightBold), vg.Point{X: canvas.Min.X, Y: y}, r.group)
		}
		left := canvas.Min.X
		if r.group != "" {
			left += groupWidth
		}
		canvas.FillText(svg.Text(10, xfont.WeightNormal), vg.Point{X: left, Y: y}, r.label)
	}
}

// plot makes the plot of a panel, with its rows at the given heights.
func (p panel) plot(places []float64) (*plot.Plot, error) {
	plt := plot.New()
	p.setAxes(plt, places[0])
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = nil, svg.GridColor
	plt.Add(grid)

	var ends plotter.XYLabels
	for i, percentage := range p.percents {
		bar, err := plotter.NewBarChart(plotter.Values{percentage}, barHeight)
		if err != nil {
			return nil, err
		}
		bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, places[i], svg.DataColor, 0
		plt.Add(bar)
		end := percentage
		if labelRoom := 0.25 * p.highest(); end < 100 && end+labelRoom > 100 {
			end = 100 // the label would stand on the line
		}
		ends.XYs = append(ends.XYs, plotter.XY{X: end, Y: places[i]})
		ends.Labels = append(ends.Labels, percent(percentage, 100))
	}
	labels, err := plotter.NewLabels(ends)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = svg.Text(10, xfont.WeightNormal)
	}
	labels.Offset = vg.Point{X: 5}
	line, err := plotter.NewLine(plotter.XYs{{X: 100, Y: plt.Y.Min}, {X: 100, Y: plt.Y.Max}})
	if err != nil {
		return nil, err
	}
	line.Color = svg.BaseColor
	plt.Add(line, labels)
	return plt, nil
}

// highest is at least the line of the other store.
func (p panel) highest() float64 { return max(100, slices.Max(p.percents)) }

func (p panel) setAxes(plt *plot.Plot, highestRow float64) {
	plt.HideY()
	plt.Y.Min, plt.Y.Max, plt.Y.Padding = -0.5, highestRow+0.5, 0
	plt.X.Min, plt.X.Max = 0, 1.3*p.highest() // with the label of the longest bar
	plt.X.LineStyle.Width, plt.X.Padding, plt.X.Tick.Length = 0, 2, 0
	plt.X.Tick.Label = svg.Text(9, xfont.WeightNormal)
	plt.X.Tick.Label.XAlign, plt.X.Tick.Label.YAlign = text.XCenter, text.YTop
	var ticks plot.ConstantTicks
	step := 50 * math.Ceil(p.highest()/200) // three to five of them
	for value := 0.0; value <= p.highest(); value += step {
		ticks = append(ticks, plot.Tick{Value: value, Label: percent(value, 100)})
	}
	plt.X.Tick.Marker = ticks
}
