-- How late flights leave, by carrier, hour and weather. Cancelled flights count apart.
SELECT f.carrier, a.name AS carrier_name, f.hour,
       CASE WHEN w.origin IS NULL THEN 'unknown'
            WHEN w.precip > 0 AND w.temp < 34 THEN 'snow or ice'
            WHEN w.precip > 0 THEN 'rain'
            WHEN w.visib < 5 THEN 'fog'
            WHEN w.wind_speed >= 25 THEN 'wind'
            ELSE 'fair' END AS weather,
       count(*) AS flights,
       count(*) FILTER (f.dep_time IS NULL) AS cancelled,
       round(avg(f.dep_delay), 2) AS mean_delay,
       count(*) FILTER (f.dep_delay > 15) AS late
FROM   flights f
JOIN   airlines a USING (carrier)
LEFT JOIN hourly w ON w.origin = f.origin AND w.time_hour = f.time_hour
GROUP BY ALL
