package documents

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A policy is an IAM policy document, as far as the policies here go.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid              string
	Effect           string
	Action, Resource texts
	Condition        map[string]map[string]texts // by operator and key
}

// texts is one text in JSON, or a list of them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (ts *texts) UnmarshalJSON(encoded []byte) error {
	if encoded[0] == '[' {
		return json.Unmarshal(encoded, (*[]string)(ts))
	}
	*ts = texts{strings.Trim(string(encoded), `"`)} // of a bool, too
	return nil
}

func parsePolicy(t *testing.T, text string) policy {
	t.Helper()
	var p policy
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&p))
	return p
}

func (p policy) actions() []string {
	var actions []string
	for _, s := range p.Statement {
		actions = append(actions, s.Action...)
	}
	return actions
}

// allows reports whether the policy allows a request for the table.
func (p policy) allows(action string, partitionKeys []string) bool {
	return slices.ContainsFunc(p.Statement, func(s statement) bool {
		return s.Effect == "Allow" && slices.Contains(s.Resource, tableARN) && slices.Contains(s.Action, action) &&
			s.isMetBy(map[string][]string{"dynamodb:LeadingKeys": partitionKeys})
	})
}

func (s statement) isMetBy(requested map[string][]string) bool {
	for operator, condition := range s.Condition {
		for key, wanted := range condition {
			if !holds(operator, requested[key], wanted) {
				return false
			}
		}
	}
	return true
}

func holds(operator string, requested, wanted []string) bool {
	switch operator {
	case "ForAllValues:StringEquals":
		return !slices.ContainsFunc(requested, func(value string) bool { return !slices.Contains(wanted, value) })
	case "Null":
		return slices.Equal(wanted, []string{fmt.Sprint(len(requested) == 0)})
	}
	panic("the tests do not know the operator " + operator)
}
