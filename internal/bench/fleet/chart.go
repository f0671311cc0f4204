package main

import (
	"fmt"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/bench/svg"
)

// Sizes, in points.
const (
	panelTitleHeight = 30
	panelHeight      = 150 // with the title
)

// limit is the read units a second that one partition of DynamoDB gives.
const limit = 3_000

// drawChart draws a panel for each result, one below the other and with the same
// axes.
func drawChart(path, title string, results []result) error {
	highest := 0
	for _, r := range results {
		highest = max(highest, r.highest())
	}
	height := vg.Length(len(results)) * panelHeight
	return svg.Draw(path, title, height, func(canvas draw.Canvas) error {
		for i, r := range results {
			top := vg.Length(i) * panelHeight
			panel := draw.Crop(canvas, 0, 0, height-top-panelHeight, -top)
			r.drawTitle(panel)
			plt, err := r.plot(highest)
			if err != nil {
				return err
			}
			plt.Draw(draw.Crop(panel, 0, 0, 0, -panelTitleHeight))
		}
		return nil
	})
}

// drawTitle also says what the line is.
func (r result) drawTitle(panel draw.Canvas) {
	y := panel.Max.Y - panelTitleHeight/2
	panel.FillText(svg.Text(11, xfont.WeightBold), vg.Point{X: panel.Min.X, Y: y}, "A flag expires "+r.expiry)
	line := svg.Text(9, xfont.WeightNormal)
	line.Color, line.XAlign = svg.BaseColor, text.XRight
	panel.FillText(line, vg.Point{X: panel.Max.X, Y: y}, thousands(limit)+": what one partition gives")
}

func (r result) plot(highest int) (*plot.Plot, error) {
	plt := plot.New()
	r.setAxes(plt, highest)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = svg.GridColor, nil
	points := make(plotter.XYs, len(r.units))
	for second, units := range r.units {
		points[second] = plotter.XY{X: float64(second), Y: float64(units)}
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	line.Color = svg.DataColor
	limitLine, err := plotter.NewLine(plotter.XYs{{X: 0, Y: limit}, {X: plt.X.Max, Y: limit}})
	if err != nil {
		return nil, err
	}
	limitLine.Color = svg.BaseColor
	plt.Add(grid, line, limitLine)
	return plt, nil
}

func (r result) setAxes(plt *plot.Plot, highest int) {
	plt.X.Min, plt.X.Max = 0, float64(len(r.units))
	plt.Y.Min, plt.Y.Max = 0, float64(highest)
	var minutes, units plot.ConstantTicks
	for minute := 0; minute <= len(r.units)/60; minute++ {
		minutes = append(minutes, plot.Tick{Value: float64(60 * minute), Label: fmt.Sprint(minute, " min")})
	}
	for value := 0; value <= highest; value += 10_000 {
		units = append(units, plot.Tick{Value: float64(value), Label: thousands(value)})
	}
	plt.X.Tick.Marker, plt.Y.Tick.Marker = minutes, units
	for _, axis := range []*plot.Axis{&plt.X, &plt.Y} {
		axis.LineStyle.Width, axis.Padding, axis.Tick.Length = 0, 2, 0
		axis.Tick.Label = svg.Text(9, xfont.WeightNormal)
	}
	plt.X.Tick.Label.XAlign, plt.X.Tick.Label.YAlign = text.XCenter, text.YTop
	plt.Y.Tick.Label.XAlign = text.XRight
}
