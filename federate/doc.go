// Package federate is the only reader: it decides, plans, runs and states what
// an answer was read at. A local query is a federation of one.
package federate
