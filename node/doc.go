// Package node builds a node from one Config and wires all of it. flow.go is the
// path of the data and the place to start reading.
package node
