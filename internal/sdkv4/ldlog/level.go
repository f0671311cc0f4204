package ldlog

// LogLevel is how serious a message is.
type LogLevel int

// The levels, the least serious first. None is above them all: as the minimum level it silences everything.
const (
	Debug LogLevel = iota + 1
	Info
	Warn
	Error
	None
)

// Name returns the level's name, such as "Debug".
func (level LogLevel) Name() string {
	switch level {
	case Debug:
		return "Debug"
	case Info:
		return "Info"
	case Warn:
		return "Warn"
	case Error:
		return "Error"
	case None:
		return "None"
	default:
		return "?"
	}
}

// String returns the same as Name.
func (level LogLevel) String() string { return level.Name() }
