// Package access knows who is asking: it makes tokens, checks them, and says
// which subject and scopes a token stands for.
package access
