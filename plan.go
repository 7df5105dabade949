package weft

// Plan says how a question is answered: what each other node is asked, what waits for
// what, and what runs at this node at the end. Where the question was run as well,
// what was measured stands beside what was thought.
type Plan struct {
	// Whole is set where all tables are at one other node. It answers the question as
	// it is, and is the only part.
	Whole bool       `json:"whole,omitempty" doc:"all tables are at one other node, which answers the question as it is"`
	Parts []PlanPart `json:"parts" doc:"what is asked, and tables here whose values narrow down what is asked"`
	// Here is what runs at this node at the end; absent where another node puts the parts
	// together, which is asked last, and where Whole is set.
	Here *PlanHere `json:"here,omitempty" doc:"what runs at this node at the end; absent where another node answers the whole question, or puts the parts together as the last of them"`

	// Measured is the whole run; absent where the question was not run.
	Measured *PlanTimes `json:"measured,omitempty" doc:"the whole run, in milliseconds since the question began; absent where it was not run"`
	Cut      Cut        `json:"cut,omitempty" doc:"what the question was read at, where it was run"`
	Warnings []Warning  `json:"warnings,omitempty" doc:"what the reader of the answer would be told"`
}

// PlanPart is a SELECT over tables of one node.
type PlanPart struct {
	Number   int    `json:"number" doc:"from 1"`
	Node     KeyID  `json:"node,omitzero" doc:"the node that is asked; absent for tables of this node"`
	Name     string `json:"name,omitempty" doc:"what people call the node"`
	Products []Name `json:"products"`
	SQL      string `json:"sql,omitempty" doc:"what the node is asked; of tables here, what is read where the last step runs at another node"`
	As       string `json:"as,omitempty" doc:"what stands for its rows in the SQL that runs here"`

	// What is thought, from what the cards say: of rows before keys narrow them down.
	Rows  int64 `json:"rows" doc:"about how many rows it gives, before keys narrow them down"`
	Bytes int64 `json:"bytes" doc:"about how many bytes these are, not compressed"`
	Read  int64 `json:"read" doc:"about how many rows its largest table has"`

	Shard    *Shard     `json:"shard,omitempty" doc:"it joins the rows of this shard alone, and is only asked while its tables have no others"`
	Keys     []PlanKeys `json:"keys,omitempty" doc:"values that narrow it down, which it waits for"`
	Last     bool       `json:"last,omitempty" doc:"it is the last step of the question, which runs at this node, and its rows are the answer"`
	Home     int64      `json:"home,omitempty" doc:"of the last step: about how many bytes the parts would send, if it ran at the node that is asked; bytes is how many travel as it is"`
	Guests   []int      `json:"guests,omitempty" doc:"numbers of the parts whose rows go with it"`
	Measured *PlanTimes `json:"measured,omitempty" doc:"milliseconds since the question began"`
	Fault    string     `json:"fault,omitempty" doc:"why it has no rows, where an answer without them was allowed"`
}

// Here says that its tables are at this node: nothing is asked.
func (p *PlanPart) Here() bool { return p.Node.IsZero() }

// PlanKeys are values of other parts that a part is asked with: rows whose column has
// none of them are not sent.
type PlanKeys struct {
	Table  string       `json:"table" doc:"what the SQL calls them"`
	Column string       `json:"column" doc:"the column that is held against them"`
	From   []PlanColumn `json:"from" doc:"the columns whose values they are"`
	// Sent is how many went; absent where the question was not run.
	Sent *int64 `json:"sent,omitempty" doc:"how many were sent; 0 where there were too many to be worth it"`
}

// PlanColumn is a column of a part.
type PlanColumn struct {
	Part   int    `json:"part" doc:"its number"`
	Column string `json:"column"`
}

// PlanHere is what runs at this node.
type PlanHere struct {
	SQL   string     `json:"sql"`
	Reads []PlanRead `json:"reads,omitempty" doc:"products of this node that it reads"`
	// Counted is set where the answer is a number of rows that is known.
	Counted  bool       `json:"counted,omitempty" doc:"the answer is a number of rows that is known: nothing is read"`
	Measured *PlanTimes `json:"measured,omitempty"`
}

// PlanRead is a product of this node that a question reads.
type PlanRead struct {
	Product Name  `json:"product"`
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes" doc:"as they are kept"`
}

// PlanTimes is what was measured, in milliseconds since the question began.
type PlanTimes struct {
	Rows  int64   `json:"rows"`
	Bytes int64   `json:"bytes" doc:"on the wire; of what runs here, in memory"`
	Began float64 `json:"began" doc:"when it was asked, or began to run"`
	First float64 `json:"first" doc:"when the first rows were there"`
	Last  float64 `json:"last" doc:"when the last were"`
}
