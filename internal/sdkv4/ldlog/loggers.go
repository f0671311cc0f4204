// Package ldlog writes the SDK's log messages, by level, to a logger of the application's choice.
package ldlog

import (
	"log"
	"os"
	"strings"
)

// BaseLogger takes log output. The standard library's *log.Logger is one.
type BaseLogger interface {
	Println(values ...interface{})
	Printf(format string, values ...interface{})
}

// Loggers has a method for each level. It is a value: what is set on a copy leaves the original alone.
//
// The zero Loggers prints nothing until Init or one of the Set methods is called. Then it prints to standard error
// what is Info or above.
type Loggers struct {
	base     BaseLogger
	byLevel  [None]BaseLogger // where nil, base
	minLevel LogLevel         // 0 until Init
	prefix   string
}

// NewDefaultLoggers returns a Loggers that prints to standard error what is Info or above.
func NewDefaultLoggers() Loggers {
	var l Loggers
	l.Init()
	return l
}

// Init makes a zero Loggers print. It changes nothing in one that prints already.
func (l *Loggers) Init() {
	if l.minLevel != 0 {
		return
	}
	l.base = log.New(os.Stderr, "[LaunchDarkly] ", log.LstdFlags)
	l.minLevel = Info
}

// SetBaseLogger sends every level to the given logger, but for those that SetBaseLoggerForLevel was called for.
// If it is nil, nothing changes.
func (l *Loggers) SetBaseLogger(base BaseLogger) {
	if base == nil {
		return
	}
	l.Init()
	l.base = base
}

// SetBaseLoggerForLevel sends one level to the given logger. If that is nil, the level has no logger of its own.
func (l *Loggers) SetBaseLoggerForLevel(level LogLevel, base BaseLogger) {
	l.Init()
	if isMessageLevel(level) {
		l.byLevel[level] = base
	}
}

// SetMinLevel silences the levels below the given one.
func (l *Loggers) SetMinLevel(level LogLevel) {
	l.Init()
	l.minLevel = max(level, Debug) // 0 would mean that Init was never called
}

// SetPrefix sets what stands between the level and the message.
func (l *Loggers) SetPrefix(prefix string) {
	l.Init()
	l.prefix = prefix
}

// Debug prints at the level Debug, with spaces between the values.
func (l Loggers) Debug(values ...interface{}) { l.println(Debug, values) }

// Debugf prints at the level Debug.
func (l Loggers) Debugf(format string, values ...interface{}) { l.printf(Debug, format, values) }

// Info prints at the level Info, with spaces between the values.
func (l Loggers) Info(values ...interface{}) { l.println(Info, values) }

// Infof prints at the level Info.
func (l Loggers) Infof(format string, values ...interface{}) { l.printf(Info, format, values) }

// Warn prints at the level Warn, with spaces between the values.
func (l Loggers) Warn(values ...interface{}) { l.println(Warn, values) }

// Warnf prints at the level Warn.
func (l Loggers) Warnf(format string, values ...interface{}) { l.printf(Warn, format, values) }

// Error prints at the level Error, with spaces between the values.
func (l Loggers) Error(values ...interface{}) { l.println(Error, values) }

// Errorf prints at the level Error.
func (l Loggers) Errorf(format string, values ...interface{}) { l.printf(Error, format, values) }

// ForLevel returns a logger that prints at one level, under the settings of the moment.
func (l Loggers) ForLevel(level LogLevel) BaseLogger { return levelLogger{l, level} }

func (l Loggers) println(level LogLevel, values []interface{}) {
	if !l.prints(level) {
		return
	}
	l.logger(level).Println(append([]interface{}{l.label(level)}, values...)...)
}

func (l Loggers) printf(level LogLevel, format string, values []interface{}) {
	if !l.prints(level) {
		return
	}
	label := strings.ReplaceAll(l.label(level), "%", "%%")
	l.logger(level).Printf(label+" "+format, values...)
}

func (l Loggers) prints(level LogLevel) bool {
	return l.minLevel != 0 && level >= l.minLevel && isMessageLevel(level)
}

func (l Loggers) logger(level LogLevel) BaseLogger {
	if own := l.byLevel[level]; own != nil {
		return own
	}
	return l.base
}

func (l Loggers) label(level LogLevel) string {
	label := strings.ToUpper(level.Name()) + ":"
	if l.prefix != "" {
		label += " " + l.prefix
	}
	return label
}

func isMessageLevel(level LogLevel) bool { return level >= Debug && level < None }

type levelLogger struct {
	loggers Loggers
	level   LogLevel
}

func (l levelLogger) Println(values ...interface{}) { l.loggers.println(l.level, values) }

func (l levelLogger) Printf(format string, values ...interface{}) {
	l.loggers.printf(l.level, format, values)
}
