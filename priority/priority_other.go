//go:build !linux

package priority

// GiveWay does nothing on this system.
func GiveWay() (done func()) { return func() {} }

// LowerProcess does nothing on this system.
func LowerProcess() {}
