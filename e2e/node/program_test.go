package node_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/clientlog"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

// attempts is how often programs try a request: an outage is to be short.
const attempts = 2

// A program uses LaunchDarkly with a table. It is written for Node.js, or in Go
// with this module's store.
type program interface {
	// evaluate evaluates every flag for every user of a JSON array.
	evaluate(t require.TestingT, flags []string, users []byte) []result
}

// A result is what one flag was for one user.
type result struct {
	Flag, User       string
	Value, Variation any
	Reason           map[string]any
}

// options are what programs can be started with.
type options struct {
	prefix string
	server *ldserver.Server // where flags come from; nil is daemon mode
}

// A starter starts a program, which is ready then and ends with the test.
type starter func(t *testing.T, table *localtable.Table, o options) program

// starters are both of them, for tests of what they have in common.
var starters = []starter{startNode, startGo}

type goProgram struct{ client *ld.LDClient }

func startGo(t *testing.T, table *localtable.Table, o options) program {
	factory := newFactory(t, table, lddynamodb.Prefix(o.prefix))
	config := ldconfig.Daemon(factory, nil)
	var log clientlog.Log
	if o.server != nil {
		config = ldconfig.Streaming(o.server.URL(), factory, &log)
	}
	client, err := ld.MakeCustomClient("sdk-test", config, patience)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.Eventually(t, log.TookOutagesIn, patience, pause)
		assert.NoError(t, client.Close())
	})
	return goProgram{client}
}

func (p goProgram) evaluate(t require.TestingT, flags []string, users []byte) []result {
	parsed, err := evaluation.Users(users)
	require.NoError(t, err)
	encoded, err := json.Marshal(evaluation.All(p.client, flags, parsed))
	require.NoError(t, err)
	return decodeResults(t, encoded)
}

type nodeProgram struct {
	input  io.Writer
	output *bufio.Reader
}

func startNode(t *testing.T, table *localtable.Table, o options) program {
	config := map[string]any{
		"endpoint": table.Endpoint, "table": table.Name, "prefix": o.prefix, "maxRetries": attempts - 1,
	}
	if o.server != nil {
		config["stream"] = o.server.URL()
	}
	argument, err := json.Marshal(config)
	require.NoError(t, err)
	command := exec.Command("node", "program.js", string(argument))
	var log bytes.Buffer
	command.Stderr = &log
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		assert.NoError(t, input.Close())
		assert.NoError(t, command.Wait())
		if t.Failed() {
			t.Logf("Node.js printed:\n%s", log.String())
		}
	})

	p := nodeProgram{input, bufio.NewReader(output)}
	line, err := p.output.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return p
}

func (p nodeProgram) evaluate(t require.TestingT, flags []string, users []byte) []result {
	question := map[string]any{"flags": flags, "users": json.RawMessage(users)}
	require.NoError(t, json.NewEncoder(p.input).Encode(question))
	line, err := p.output.ReadBytes('\n')
	require.NoError(t, err)
	return decodeResults(t, line)
}

func decodeResults(t require.TestingT, encoded []byte) []result {
	var results []result
	require.NoError(t, json.Unmarshal(encoded, &results))
	return results
}

// evaluateOne evaluates one flag for a user whom it knows nothing of.
func evaluateOne(t require.TestingT, p program, flag string) result {
	results := p.evaluate(t, []string{flag}, []byte(`[{"key": "someone"}]`))
	require.Len(t, results, 1)
	return results[0]
}

// newFactory makes stores of this module.
func newFactory(t *testing.T, table *localtable.Table, options ...lddynamodb.FeatureStoreOption) ld.FeatureStoreFactory {
	config := localtable.Config(table.Endpoint).WithMaxRetries(attempts - 1)
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(
		table.Name, append(options, lddynamodb.ClientConfig(config))...)
	require.NoError(t, err)
	return factory
}

// newStore makes a store of this module without an SDK client.
func newStore(t *testing.T, table *localtable.Table, options ...lddynamodb.FeatureStoreOption) ld.FeatureStore {
	config := ld.DefaultConfig
	config.Loggers.SetMinLevel(ldlog.None)
	store, err := newFactory(t, table, options...)(config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.(io.Closer).Close()) })
	return store
}
