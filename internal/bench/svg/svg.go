// Package svg has what the charts of the documents share: the colors, the font,
// and the way into a file.
package svg

import (
	"bytes"
	"image/color"
	"os"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Sizes that all charts have, in points.
const (
	Width  = 640
	margin = 14
)

// The colors of what is measured, of the grid, and of a line to compare with.
var (
	DataColor = color.RGBA{R: 0x2f, G: 0x6f, B: 0xeb, A: 0xff}
	GridColor = color.RGBA{R: 0xdd, G: 0xe1, B: 0xe5, A: 0xff}
	BaseColor = color.RGBA{R: 0xbc, G: 0x4c, B: 0x00, A: 0xff}
)

// Draw makes an SVG file with a title. Below it, content draws on a canvas of
// the given height.
func Draw(path, title string, height vg.Length, content func(draw.Canvas) error) error {
	const titleHeight = 24
	file := vgsvg.New(Width, 2*margin+titleHeight+height)
	whole := draw.New(file)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	inside := draw.Crop(whole, margin, -margin, margin, -margin)
	inside.FillText(Text(13, xfont.WeightBold), vg.Point{X: inside.Min.X, Y: inside.Max.Y - 8}, title)
	if err := content(draw.Crop(inside, 0, 0, 0, -titleHeight)); err != nil {
		return err
	}
	var drawn bytes.Buffer
	if _, err := file.WriteTo(&drawn); err != nil {
		return err
	}
	// Where the font is missing, these have letters of the same widths.
	svg := bytes.ReplaceAll(drawn.Bytes(), []byte("Liberation Sans"), []byte("Liberation Sans,Arial,Helvetica,sans-serif"))
	return os.WriteFile(path, svg, 0o600)
}

// Text returns the style of a text.
func Text(size font.Length, weight xfont.Weight) text.Style {
	return text.Style{
		Color:   color.Black,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size, Weight: weight},
		Handler: plot.DefaultTextHandler,
		YAlign:  text.YCenter,
	}
}
