// Package demo shows feature flags on their way from LaunchDarkly through the
// DynamoDB feature store to a process that has no connection to LaunchDarkly.
package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/clientlog"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/tcpproxy"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

const (
	sdkKey = "sdk-demo"
	// readerTTL is how long the reading process may serve what it has cached.
	readerTTL = time.Second
	// patience is far longer than any step takes.
	patience = 30 * time.Second
)

// Report is what came out of a run.
type Report struct {
	Evaluations       []evaluation.Result // by the reading process, before the change
	Changed           evaluation.Result   // by the reading process, after it
	ChangeSeen        time.Duration       // how long that took
	Rows              []localtable.Row    // the table at the end
	ReaderPID         int
	Outage            Outage
	Brownout          [2]Load // in the connected process and in the other one
	ServerConnections int     // how many streams the LaunchDarkly service has had
}

// Run shows everything and describes it on out, in colors if asked for.
func Run(out io.Writer, colors bool) (*Report, error) {
	show := &printer{out: out, colors: colors}
	show.title()

	endpoint, err := dynamolocal.Endpoint()
	if err != nil {
		return nil, err
	}
	table, err := localtable.Create(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { _ = table.Delete() }()
	server, err := ldserver.Start(payload.JSON())
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Close() }()

	proxy, err := tcpproxy.Start(strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		return nil, err
	}
	defer proxy.Close()

	d := &demo{show: show, table: table, proxy: proxy, server: server, report: &Report{}}
	if err := d.run(); err != nil {
		return nil, err
	}
	return d.report, nil
}

type demo struct {
	show   *printer
	table  *localtable.Table
	proxy  *tcpproxy.Proxy // on the processes' way to the table
	server *ldserver.Server
	log    clientlog.Log // of the connected process
	report *Report
}

func (d *demo) run() error {
	client, err := d.startWriter()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	writer, err := newParticipant(client)
	if err != nil {
		return err
	}

	reader, err := startReader(d.endpoint(), d.table.Name)
	if err != nil {
		return err
	}
	defer reader.stop()
	d.report.ReaderPID = reader.pid()

	if err := d.evaluate(reader); err != nil {
		return err
	}
	if err := d.change(reader); err != nil {
		return err
	}
	_, d.report.ServerConnections = d.server.Connections()
	if err := d.listRows(); err != nil {
		return err
	}
	if err := d.goThroughOutage(writer, reader); err != nil {
		return err
	}
	if err := d.goThroughBrownout(writer, reader); err != nil {
		return err
	}
	d.report.Rows, err = d.table.Rows()
	if err != nil {
		return err
	}
	d.show.summary(d.report)
	return nil
}

// endpoint is what the two processes use as DynamoDB.
func (d *demo) endpoint() string { return "http://" + d.proxy.Address() }

// startWriter starts the client that is connected to the LaunchDarkly service and
// writes to the table.
func (d *demo) startWriter() (*ld.LDClient, error) {
	factory, err := newFactory(d.endpoint(), d.table.Name)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	config := ldconfig.Streaming(d.server.URL(), factory, &d.log)
	client, err := ld.MakeCustomClient(sdkKey, config, patience)
	if err != nil {
		return nil, fmt.Errorf("starting the streaming client: %w", err)
	}
	took := time.Since(start)
	rows, err := d.table.Rows()
	if err != nil {
		return nil, err
	}
	d.show.written(d.server.URL(), d.table, len(rows), took)
	return client, nil
}

func (d *demo) evaluate(reader *reader) error {
	start := time.Now()
	results, err := reader.evaluate()
	if err != nil {
		return err
	}
	d.report.Evaluations = results
	d.show.evaluated(reader.pid(), results, time.Since(start))
	return nil
}

func (d *demo) listRows() error {
	rows, err := d.table.Rows()
	if err != nil {
		return err
	}
	d.show.rows(rows)
	return nil
}

func newFactory(endpoint, table string, options ...lddynamodb.FeatureStoreOption) (ld.FeatureStoreFactory, error) {
	options = append(options, lddynamodb.ClientConfig(localtable.Config(endpoint)))
	return lddynamodb.NewDynamoDBFeatureStoreFactory(table, options...)
}
