package demo

// Act is one step of the tour of the mesh: something that happens to a node, or a
// command that is given at one, and what it must show.
type Act struct {
	Title string
	Kill  string // the domain whose node is killed, without a warning
	Start string // the domain whose node is started again
	Add   string // a line that is added to File, which the demonstration takes out again in the end
	File  string // below the folder of the node At
	Write string // a file below the folder of the node At, which gets Text
	Text  string
	At    string // the domain at whose node the command is given
	Do    []string
	Keep  string   // a file below the folder of the node At, which gets what the command prints
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
		{
			Title: "Whom does rain delay on the way to San Francisco, and how late is it when it is fair? One question to all five domains, asked at insights.",
			Write: "rain.sql", Text: rainSQL,
			At: "insights", Do: []string{"query", "-f", Home + "rain.sql", "--format", "table"},
			Want:  []string{`United Air Lines Inc\.\W+84\W+275\W+23(\.0)?\W+11\.3`, `JetBlue Airways\W+13\W+200\W+31\.4\W+14\.7`, `from 4 nodes: `, `airports 1\b`},
			Until: true,
		},
		{
			Title: "How was it answered? Each node does its part, and is asked with the few values that matter.",
			At:    "insights", Do: []string{"explain", "-f", Home + "rain.sql", "--analyze"},
			Want: []string{`with rows of 4 other nodes`, `operations +operations\.flights`, `keys +dest in faa of \d \(airports\): 1 sent`, `(?s)airports +airports\.airports.*measured +1 row,`, `San Francisco Intl`},
		},
		{
			Title: "The same answer to keep, with a receipt that all who gave to it have signed,",
			At:    "insights", Do: []string{"query", "-f", Home + "rain.sql", "--output", Home + "rain.csv", "--receipt", Home + "rain.receipt.json"},
			Want: []string{`5 rows · cut .*operations\.flights#2`, `signed: weft receipt verify`},
		},
		{
			Title: "with whom the mesh trusts,",
			At:    "airports", Do: []string{"mesh", "keys"}, Keep: "mesh-keys.json",
			Want:  []string{`"mesh"`},
			Lines: 4,
		},
		{
			Title: "and proved from these files alone, without a node.",
			At:    "airports", Do: []string{"receipt", "verify", Home + "../insights/rain.receipt.json", Home + "../insights/rain.csv", "--keys", Home + "mesh-keys.json", "-f", Home + "../insights/rain.sql"},
			Want: []string{`✓ the receipt is valid`, `operations\.flights +#2`, `weather\.hourly +#2`},
		},
	}
}

// Home stands for the folder of the node, in what is given to a command.
const Home = "{home}/"

// rainSQL is the question to all domains.
const rainSQL = `SELECT a.name AS carrier, count(*) AS flights, max(p.seats) AS largest_plane,
       round(avg(f.arr_delay), 1) AS delay_in_rain, round(avg(u.mean_delay), 1) AS delay_when_fair
FROM operations.flights f
JOIN fleet.airlines a USING (carrier)
JOIN fleet.planes p USING (tailnum)
JOIN airports.airports d ON d.faa = f.dest
JOIN weather.hourly w ON w.origin = f.origin AND w.time_hour = f.time_hour
JOIN insights.delays u ON u.carrier = f.carrier AND u.hour = f.hour AND u.weather = 'fair'
WHERE d.name = 'San Francisco Intl' AND w.precip > 0.1
GROUP BY a.name ORDER BY flights DESC
`
