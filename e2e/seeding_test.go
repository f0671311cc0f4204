package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// seed is a seeding job: without any SDK client, it puts flags and segments in
// LaunchDarkly's JSON format into a table, for processes in daemon mode.
func seed(table *localtable.Table, flagsAndSegments []byte, logger ld.Logger) error {
	var data struct {
		Flags    map[string]*ld.FeatureFlag
		Segments map[string]*ld.Segment
	}
	if err := json.Unmarshal(flagsAndSegments, &data); err != nil {
		return err
	}
	store, err := lddynamodb.NewDynamoDBFeatureStore(table.Name,
		lddynamodb.ClientConfig(localtable.Config(table.Endpoint)),
		lddynamodb.Logger(logger))
	if err != nil {
		return err
	}
	defer func() { _ = store.(io.Closer).Close() }()
	return store.Init(ld.MakeAllVersionedDataMap(data.Flags, data.Segments))
}

func Example_seedingJob() {
	endpoint, err := dynamolocal.Endpoint()
	if err != nil {
		log.Fatal(err)
	}
	table, err := localtable.Create(endpoint)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = table.Delete() }()

	if err := seed(table, payload.JSON(), log.New(os.Stderr, "seeding job: ", 0)); err != nil {
		log.Fatal(err)
	}

	// Elsewhere, a process in daemon mode:
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(table.Name,
		lddynamodb.ClientConfig(localtable.Config(endpoint)))
	if err != nil {
		log.Fatal(err)
	}
	client, err := ld.MakeCustomClient("sdk-key", ldconfig.Daemon(factory, nil), patience)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	user := ld.NewUserBuilder("new-user").Country("AT").Build()
	message, _ := client.StringVariation("welcome-message", user, "(no message)")
	fmt.Println(message)
	// Output: Grüß Gott!
}

func TestADaemonUsesASeededTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, seed(w.table, payload.JSON(), log.New(io.Discard, "", 0)))
	w.requireTableLikeServer(t)
	daemon := startDaemon(t, w.factory(t, newNetwork()))
	for _, result := range w.evaluate(t, daemon) {
		assertOutcome(t, outcomes[result.Flag][userIndex(t, result.User)], result)
	}
}

func TestASeedingJobLogsToItsLogger(t *testing.T) {
	t.Parallel()
	table := fixture.NewTable(t)
	missing := *table
	missing.Name = "there-is-no-such-table"
	var lines logLines
	require.ErrorContains(t, seed(&missing, payload.JSON(), log.New(&lines, "", 0)), missing.Name)
	assert.Contains(t, lines.String(), "WARN: DynamoDBFeatureStore:")
	assert.Contains(t, lines.String(), missing.Name)
}

// logLines keeps what is logged, from any goroutine.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
