// Package receipt is the signed proof of an answer: what was asked, what was read of
// which products, under which contracts and restrictions, and which bytes were the
// answer. Each node that gave rows signs its part, the node that answered signs the
// whole, and whoever holds the receipt verifies it without asking any node.
package receipt
