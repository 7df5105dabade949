// Package policy decides who may know of a product and who may read it. Its
// decisions are pure: they look at what they are given and at nothing else, so that
// every place that asks gets one answer.
package policy
