package v7_test

import (
	"encoding/json"
	"testing"

	"github.com/launchdarkly/go-sdk-common/v3/ldcontext"
	"github.com/launchdarkly/go-sdk-common/v3/ldvalue"
	v7 "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/v7client"
)

// A v4Program uses the SDK that this module's store is made for.
type v4Program struct{ client *ld.LDClient }

// startV4 starts a program with this module's store.
func startV4(t *testing.T, table *localtable.Table, server *ldserver.Server) program {
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(table.Name,
		lddynamodb.ClientConfig(localtable.Config(table.Endpoint)))
	require.NoError(t, err)
	if server == nil {
		return startV4Client(t, ldconfig.Daemon(factory, nil))
	}
	return startV4Client(t, ldconfig.Streaming(server.URL(), factory, nil))
}

// startReference starts a program with the SDK's in-memory store.
func startReference(t *testing.T, server *ldserver.Server) program {
	return startV4Client(t, ldconfig.Streaming(server.URL(), ld.NewInMemoryFeatureStoreFactory(), nil))
}

func startV4Client(t *testing.T, config ld.Config) program {
	client, err := ld.MakeCustomClient("sdk-test", config, patience)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return v4Program{client}
}

func (p v4Program) evaluate(t *testing.T, flags []string, users []byte) []result {
	parsed, err := evaluation.Users(users)
	require.NoError(t, err)
	return inJSON(t, evaluation.All(p.client, flags, parsed))
}

// A v7Program uses the Go SDK v7.
type v7Program struct{ client *v7.LDClient }

// startV7 starts a program with that SDK's own DynamoDB store.
func startV7(t *testing.T, table *localtable.Table, server *ldserver.Server) program {
	url := ""
	if server != nil {
		url = server.URL()
	}
	client, err := v7client.Start(table, url, patience)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return v7Program{client}
}

func (p v7Program) evaluate(t *testing.T, flags []string, users []byte) []result {
	var contexts []ldcontext.Context
	require.NoError(t, json.Unmarshal(users, &contexts))
	var results []any
	for _, flag := range flags {
		for _, user := range contexts {
			// The error says no more than the reason does.
			_, detail, _ := p.client.JSONVariationDetail(flag, user, ldvalue.Null())
			results = append(results, map[string]any{
				"flag": flag, "user": user.Key(),
				"value": detail.Value, "variation": detail.VariationIndex, "reason": detail.Reason,
			})
		}
	}
	return inJSON(t, results)
}
