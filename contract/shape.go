package contract

// Shape is what a look at a source found: the material of a draft folder.
type Shape struct {
	Server Server
	Tables []ShapeTable
}

// ShapeTable is one table of a source.
type ShapeTable struct {
	Name     string // a legal table name
	Physical string // its name at the source, where it differs
	Rows     int64
	Columns  []ShapeColumn
	Key      []string // a guess: unique, never null, and named like a key
}

// ShapeColumn is one column of a source. No value of a personal column is in it.
type ShapeColumn struct {
	Name     string // as the source calls it
	Type     Type
	Nulls    int64
	Distinct int64
	Enum     []string // all its values, where they are fewer than 50 and 5 % of the rows
	Min, Max string   // of numbers, in decimal notation; empty where not known
	Personal bool     // by name or content
}
