package ldlog

import (
	"bytes"
	"io"
	"log"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLevelsHaveNames(t *testing.T) {
	t.Parallel()
	for level, name := range map[LogLevel]string{
		Debug: "Debug", Info: "Info", Warn: "Warn", Error: "Error", None: "None", 0: "?", 6: "?",
	} {
		assert.Equal(t, name, level.Name())
		assert.Equal(t, name, level.String())
	}
	assert.EqualValues(t, 1, Debug)
}

func TestEveryLevelAndItsFormattedFormPrint(t *testing.T) {
	t.Parallel()
	var l Loggers
	out := logTo(&l)
	l.SetMinLevel(Debug)

	printAll(l)

	assert.Equal(t, "DEBUG: d 1\nDEBUG: d=1\nINFO: i 2\nINFO: i=2\nWARN: w 3\nWARN: w=3\nERROR: e 4\nERROR: e=4\n",
		out.String())
}

func TestLevelsBelowTheMinimumAreSilent(t *testing.T) {
	t.Parallel()
	for min, want := range map[LogLevel]string{
		Info:  "INFO: i 2\nINFO: i=2\nWARN: w 3\nWARN: w=3\nERROR: e 4\nERROR: e=4\n",
		Warn:  "WARN: w 3\nWARN: w=3\nERROR: e 4\nERROR: e=4\n",
		Error: "ERROR: e 4\nERROR: e=4\n",
		None:  "",
	} {
		t.Run(min.Name(), func(t *testing.T) {
			t.Parallel()
			var l Loggers
			out := logTo(&l)
			l.SetMinLevel(min)

			printAll(l)

			assert.Equal(t, want, out.String())
		})
	}
}

func TestInfoIsTheFirstMinimum(t *testing.T) {
	t.Parallel()
	var l Loggers
	out := logTo(&l)

	l.Debug("unseen")
	l.Info("seen")

	assert.Equal(t, "INFO: seen\n", out.String())
}

func TestPrefixStandsBetweenLevelAndMessage(t *testing.T) {
	t.Parallel()
	var l Loggers
	out := logTo(&l)
	l.SetPrefix("100% Store:")

	l.Info("one", "two")
	l.Warnf("%s and %d", "one", 2)
	l.Errorf("no values")

	assert.Equal(t,
		"INFO: 100% Store: one two\nWARN: 100% Store: one and 2\nERROR: 100% Store: no values\n", out.String())
}

func TestCopiesAreIndependent(t *testing.T) {
	t.Parallel()
	var original Loggers
	originalOut := logTo(&original)
	changed := original
	changedOut, changedErrors := logTo(&changed), &bytes.Buffer{}
	changed.SetBaseLoggerForLevel(Error, log.New(changedErrors, "", 0))
	changed.SetMinLevel(Warn)
	changed.SetPrefix("copy")

	for _, l := range []Loggers{original, changed} {
		l.Info("info")
		l.Warn("warn")
		l.Error("error")
	}

	assert.Equal(t, "INFO: info\nWARN: warn\nERROR: error\n", originalOut.String())
	assert.Equal(t, "WARN: copy warn\n", changedOut.String())
	assert.Equal(t, "ERROR: copy error\n", changedErrors.String())
}

func TestALevelsOwnLoggerStaysWhenTheBaseLoggerChanges(t *testing.T) {
	t.Parallel()
	var l Loggers
	own := &bytes.Buffer{}
	l.SetBaseLoggerForLevel(Warn, log.New(own, "", 0))
	base := logTo(&l)

	l.Warn("first")
	l.Info("info")
	l.SetBaseLoggerForLevel(Warn, nil)
	l.Warn("second")

	assert.Equal(t, "WARN: first\n", own.String())
	assert.Equal(t, "INFO: info\nWARN: second\n", base.String())
}

func TestANilBaseLoggerChangesNothing(t *testing.T) {
	t.Parallel()
	var l Loggers
	l.SetBaseLogger(nil)
	assert.Equal(t, Loggers{}, l, "not even that it is silent")

	out := logTo(&l)
	l.SetBaseLogger(nil)
	l.Info("seen")
	assert.Equal(t, "INFO: seen\n", out.String())
}

func TestForLevel(t *testing.T) {
	t.Parallel()
	var l Loggers
	out := logTo(&l)
	l.SetPrefix("p")
	for _, level := range []LogLevel{Debug, Info, Warn, Error, None, 0, -1, 6} {
		logger := l.ForLevel(level)
		logger.Println("a", 1)
		logger.Printf("b=%d", 2)
	}

	assert.Equal(t, "INFO: p a 1\nINFO: p b=2\nWARN: p a 1\nWARN: p b=2\nERROR: p a 1\nERROR: p b=2\n", out.String())
}

func TestLevelsThatAreNoneDoNoHarm(t *testing.T) {
	t.Parallel()
	var l Loggers
	out := logTo(&l)
	for _, level := range []LogLevel{-1, 0, None, 6} {
		l.SetBaseLoggerForLevel(level, log.New(io.Discard, "", 0))
	}
	l.SetMinLevel(0)

	l.Debug("seen")

	assert.Equal(t, "DEBUG: seen\n", out.String())
}

func TestInitKeepsWhatWasSet(t *testing.T) {
	t.Parallel()
	var l Loggers
	out := logTo(&l)
	l.SetMinLevel(Error)

	l.Init()
	l.Warn("unseen")
	l.Error("seen")

	assert.Equal(t, "ERROR: seen\n", out.String())
}

// The tests below put a file in place of standard error, so they can't be parallel.

func TestTheZeroLoggersPrintsNothing(t *testing.T) {
	out := captureStderr(t, func() {
		var l Loggers
		printAll(l)
		l.ForLevel(Error).Println("unseen")
	})

	assert.Empty(t, out)
}

func TestEverySetterAndInitMakeTheZeroLoggersPrint(t *testing.T) {
	for name, start := range map[string]func(*Loggers){
		"Init":                  func(l *Loggers) { l.Init() },
		"SetBaseLoggerForLevel": func(l *Loggers) { l.SetBaseLoggerForLevel(Debug, log.New(io.Discard, "", 0)) },
		"SetMinLevel":           func(l *Loggers) { l.SetMinLevel(Info) },
		"SetPrefix":             func(l *Loggers) { l.SetPrefix("") },
		"NewDefaultLoggers":     func(l *Loggers) { *l = NewDefaultLoggers() },
	} {
		t.Run(name, func(t *testing.T) {
			out := captureStderr(t, func() {
				var l Loggers
				start(&l)
				l.Debug("unseen")
				l.Info("seen")
			})

			assert.Regexp(t, `^\[LaunchDarkly\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d INFO: seen\n$`, out)
		})
	}
}

func logTo(l *Loggers) *bytes.Buffer {
	out := &bytes.Buffer{}
	l.SetBaseLogger(log.New(out, "", 0))
	return out
}

func printAll(l Loggers) {
	l.Debug("d", 1)
	l.Debugf("d=%d", 1)
	l.Info("i", 2)
	l.Infof("i=%d", 2)
	l.Warn("w", 3)
	l.Warnf("w=%d", 3)
	l.Error("e", 4)
	l.Errorf("e=%d", 4)
}

func captureStderr(t *testing.T, action func()) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	require.NoError(t, err)
	stderr := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = stderr }()
	action()
	require.NoError(t, file.Close())
	out, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return string(out)
}
