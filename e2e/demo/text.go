package demo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
)

// oddKey is the key of one of the payload's flags.
const oddKey = "prix/été: -50 % 🎉"

// usersOf returns the users of the first flag, which are those of every flag.
func usersOf(results []evaluation.Result) []string {
	var users []string
	for _, r := range results {
		if r.Flag != results[0].Flag {
			break
		}
		users = append(users, r.User)
	}
	return users
}

func valueOf(r evaluation.Result) string {
	switch {
	case r.Reason.GetErrorKind() == ld.EvalErrorFlagNotFound:
		return "(no flag)"
	case r.Value.IsNull():
		return "(default)"
	default:
		return asJSON(r.Value.AsArbitraryValue())
	}
}

// asJSON is JSON for people: with sorted keys, and "<" as it is.
func asJSON(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text.String())
}

// tallyReasons counts the kinds of reasons, in the order in which they occur. Of
// an error it takes the kind of the error.
func tallyReasons(results []evaluation.Result) string {
	var kinds []string
	count := make(map[string]int)
	for _, r := range results {
		name := string(r.Reason.GetKind())
		if r.Reason.GetKind() == ld.EvalReasonError {
			name = string(r.Reason.GetErrorKind())
		}
		kind := strings.ToLower(strings.ReplaceAll(name, "_", " "))
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		count[kind]++
	}
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%d %s", count[kind], kind)
	}
	return strings.Join(kinds, ", ")
}

// pad fills up with spaces to a number of columns, and adds at least one.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-width(text), 1))
}

// wrap breaks a text at spaces into lines of a number of columns at most, where
// its words allow it.
func wrap(text string, columns int) (lines []string) {
	line := ""
	for _, word := range strings.Split(text, " ") {
		if line != "" && width(line)+1+width(word) > columns {
			lines, line = append(lines, line), word
			continue
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

func shorten(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	runes := []rune(text)
	for width(string(runes)) > columns-1 {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// width is the number of a terminal's columns that a text takes.
func width(text string) int {
	columns := 0
	for _, r := range text {
		columns++
		if r >= 0x2E80 { // Chinese, Japanese and Korean characters, and emoji
			columns++
		}
	}
	return columns
}
