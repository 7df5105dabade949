package demo

// Tour are the questions of the guided tour, each with the answer that the data
// has: `weft demo --check` holds them against each other.
func Tour() []Step {
	return []Step{
		{
			Title: "How many flights left New York City in 2013, and how many were cancelled?",
			SQL:   "SELECT count(*) AS flights, count(*) FILTER (dep_time IS NULL) AS cancelled FROM operations.flights",
			Want:  []string{"336776,8255"},
		},
		{
			Title: "Which carriers leave latest? Two domains, one question.",
			SQL: `SELECT a.name AS carrier, count(*) AS flights, round(avg(f.dep_delay), 1) AS mean_delay
FROM operations.flights f JOIN fleet.airlines a USING (carrier)
GROUP BY a.name ORDER BY mean_delay DESC LIMIT 5`,
			Want: []string{
				"Frontier Airlines Inc.,685,20.2",
				"ExpressJet Airlines Inc.,54173,20",
				"Mesa Airlines Inc.,601,19",
				"AirTran Airways Corporation,3260,18.7",
				"Southwest Airlines Co.,12275,17.7",
			},
		},
		{
			Title: "Does rain make them land late? Five products of four domains in one join.",
			SQL: `SELECT d.name AS destination, a.name AS carrier, count(*) AS flights, max(p.seats) AS largest_plane,
       round(avg(f.arr_delay) FILTER (w.precip > 0), 1) AS delay_wet,
       round(avg(f.arr_delay) FILTER (w.precip = 0), 1) AS delay_dry
FROM operations.flights f
JOIN fleet.airlines a USING (carrier)
JOIN fleet.planes p USING (tailnum)
JOIN airports.airports d ON d.faa = f.dest
JOIN weather.hourly w ON w.origin = f.origin AND w.time_hour = f.time_hour
GROUP BY ALL ORDER BY flights DESC LIMIT 5`,
			Want: []string{
				"Hartsfield Jackson Atlanta Intl,Delta Air Lines Inc.,10454,450,44.3,4.8",
				"Charlotte Douglas Intl,US Airways Inc.,8439,379,24.5,0.9",
				"Chicago Ohare Intl,United Air Lines Inc.,6730,330,22.8,4.8",
				"George Bush Intercontinental,United Air Lines Inc.,6646,400,23.8,2.3",
				"San Francisco Intl,United Air Lines Inc.,6444,400,18,1.8",
			},
		},
		{
			Title: "insights.delays is a product made from three others by SQL. What does the weather cost?",
			SQL: `SELECT weather, sum(flights) AS flights,
       round(sum(mean_delay * (flights - cancelled)) / sum(flights - cancelled), 1) AS mean_delay,
       round(100.0 * sum(cancelled) / sum(flights), 1) AS cancelled_percent
FROM insights.delays GROUP BY weather ORDER BY mean_delay DESC`,
			Want: []string{
				"snow or ice,3417,39.3,22.4",
				"rain,19585,29.7,5.9",
				"fog,9554,21.4,5.7",
				"wind,4790,15.4,7.1",
				"unknown,1556,13.4,1.8",
				"fair,297874,11,1.8",
			},
		},
		{
			Title: "At which hour is it worst to leave?",
			SQL: `SELECT hour, sum(late) AS late, sum(flights) AS flights, round(100.0 * sum(late) / sum(flights), 1) AS late_percent
FROM insights.delays GROUP BY hour HAVING sum(flights) > 1000 ORDER BY late_percent DESC LIMIT 3`,
			Want: []string{"21,3915,10933,35.8", "20,5779,16739,34.5", "19,7169,21441,33.4"},
		},
	}
}
