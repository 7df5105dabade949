package demo

// Act is one step of the tour of the mesh: something that happens to a node, or a
// command that is given at one, and what it must show.
type Act struct {
	Title string
	Kill  string // the domain whose node is killed, without a warning
	Start string // the domain whose node is started again
	Add   string // a line that is added to File, which the demonstration takes out again in the end
	File  string // below the folder of the node At
	At    string // the domain at whose node the command is given
	Do    []string
	Want  []string // regular expressions, each of which fits what the command prints
	// Until says that the mesh takes a while to get there: the command is given again
	// until it shows what it must.
	Until bool
	// Lines is how many lines of a long answer are shown; 0 is all.
	Lines int
}

// MeshTour is the guided tour of the mesh, once all nodes are in it and all products
// published.
func MeshTour() []Act {
	return []Act{
		{
			Title: "Five nodes, one for each domain. There is no server in the middle: each knows the others.",
			At:    "insights", Do: []string{"peers"},
			Want: []string{`insights .*this node`, `operations `, `fleet `, `airports `, `weather `},
		},
		{
			Title: "Any node finds the products of all, from its own memory. This is asked at airports.",
			At:    "airports", Do: []string{"search", "late flights by carrier"},
			Want:  []string{`(?m)^operations\.flights\b`, `(?m)^insights\.delays\b`, `at operations, known as of now`},
			Until: true,
		},
		{
			Title: "What is operations.flights? The weather desk asks its own node: the signed card says it.",
			At:    "weather", Do: []string{"show", "operations.flights"},
			Want:  []string{`336,776`, `Flight operations`, `dep_delay`, `JOIN`},
			Lines: 24,
			Until: true,
		},
		{
			Title: "insights.delays is made from three others, each pulled from its node, by SQL.",
			At:    "insights", Do: []string{"query", "--format", "table", `SELECT weather, sum(flights) AS flights,
       round(sum(mean_delay * (flights - cancelled)) / sum(flights - cancelled), 1) AS mean_delay
FROM insights.delays GROUP BY weather ORDER BY mean_delay DESC`},
			Want: []string{`snow or ice\W+3,?417\W+39\.3`, `rain\W+19,?585\W+29\.7`, `fair\W+297,?874\W+11(\.0)?\b`},
		},
		{
			Title: "Where does its carrier come from? The lineage crosses the nodes, column by column.",
			At:    "fleet", Do: []string{"lineage", "insights.delays.carrier_name"},
			Want:  []string{`fleet\.airlines`, `name`},
			Until: true,
		},
		{
			Title: "The node of weather is killed. Its products are still found, and it is said how old that is.",
			Kill:  "weather",
			At:    "airports", Do: []string{"search", "rain and wind"},
			Want:  []string{`(?m)^weather\.hourly\b`, `at weather, which is away`},
			Until: true,
		},
		{
			Title: "What was made from it can be asked as before.",
			At:    "insights", Do: []string{"query", "--format", "table", "SELECT count(DISTINCT carrier) AS carriers, sum(flights) AS flights FROM insights.delays"},
			Want: []string{`16\W+336,?776`},
		},
		{
			Title: "Meanwhile fleet gets an airline more.",
			At:    "fleet", File: "airlines/data/airlines.csv", Add: "ZZ,Zeppelin Lines (invented)",
			Do:   []string{"refresh", "fleet.airlines"},
			Want: []string{`\+1\b`},
		},
		{
			Title: "weather comes back. It has heard of the new airline by itself.",
			Start: "weather",
			At:    "weather", Do: []string{"show", "fleet.airlines"},
			Want:  []string{`rows +17\b`},
			Lines: 8,
			Until: true,
		},
		{
			Title: "And the mesh has it again.",
			At:    "airports", Do: []string{"search", "rain and wind"},
			Want:  []string{`(?m)^weather\.hourly\b`, `at weather, known as of now`},
			Until: true,
		},
	}
}
