// Package replicate keeps copies of other products current and honest: it pulls the
// files of a product's last checkpoint and then follows its commits, holds all of it
// against what the origin signs, and gives a copy away no longer than its owner lets
// it. Who asks the origin, and who may read a copy, it is told.
package replicate
