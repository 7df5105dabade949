package contract

// shopShape is what a look at an invented file of orders would find.
func shopShape() *Shape {
	yes := true
	return &Shape{
		Server: Server{Type: "local", Path: "data/orders-*.csv", Format: "csv", Delimiter: ";", Header: &yes},
		Tables: []ShapeTable{{
			Name: "orders", Rows: 10_000, Key: []string{"order_id"},
			Columns: []ShapeColumn{
				{Name: "order_id", Type: Type{Kind: KindInt64}, Distinct: 10_000, Min: "1", Max: "10000"},
				{Name: "Placed At", Type: Type{Kind: KindInstant}, Distinct: 9_000},
				{Name: "channel", Type: Type{Kind: KindString}, Nulls: 3, Distinct: 3, Enum: []string{"shop", "on: line", "yes"}},
				{Name: "customerEmail", Type: Type{Kind: KindString}, Distinct: 9_000, Enum: []string{"never@example.com"}},
				{Name: "birth_year", Type: Type{Kind: KindInt32}, Distinct: 80, Min: "1931", Max: "2007", Personal: true},
				{Name: "amount", Type: Decimal(14, 2), Nulls: 1, Distinct: 5_000, Min: "0.50", Max: "1301.99"},
				{Name: "delay", Type: Type{Kind: KindInt32}, Distinct: 500, Min: "-43", Max: "1301"},
				{Name: "tags", Type: List(Type{Kind: KindString})},
				{Name: "größe", Type: Type{Kind: KindFloat64}, Min: "0", Max: "0"},
				{Name: "_op", Type: Type{Kind: KindString}},
			},
		}},
	}
}
