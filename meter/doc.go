// Package meter knows what consumers may use of this node's products, and what they
// have used: budgets, which refuse a question before it runs, and the ledger.
package meter
