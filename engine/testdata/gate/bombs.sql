# Statements that the gate may let pass because only running them shows what they cost. Each ends at its
# deadline or its memory at the latest, and the node feels nothing of it. {{5*x}} is five times x.

# regular expressions
limit|invalid|ok: select count(*) from range(1000) r(i) where regexp_matches('{{2000*a}}!', '(a+)+$')
limit|invalid|ok: select regexp_matches('{{5000*a}}b', '({{30*(a|}}a{{30*)*}})$')
invalid: select regexp_matches('a', '{{4*(}}a{1000}{{4*){1000}}}')
limit|invalid|ok: select regexp_matches('{{2000*x}}', '{{20*(.*)}}y')
invalid: select regexp_extract_all('{{2000*x}}', '(?=x)')
limit|invalid|ok: select '{{2000*a}}' like '{{900*%a}}b'
limit|invalid|ok: select '{{2000*a}}' similar to '(a|aa)+b'
limit|invalid|ok: select count(*) from range(100000) r(i) where levenshtein(repeat('x', 1000), repeat(i::varchar, 100)) > 1
# recursion
limit: with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r
limit: with recursive r(n) as (select 1::bigint union select (n * 31 + 7) % 1000000007 from r) select count(*) from r
limit: with recursive r(a, b) as (select 1, 1 union all select x.a + 1, y.b from r x, r y) select count(*) from r
limit: with recursive r(l) as (select [1] union all select list_append(l, 1) from r) select max(len(l)) from r
# binding
limit|invalid|ok: with a as (select 1 as x), b as (select * from a, a a2), c as (select * from b, b b2), d as (select * from c, c c2), e as (select * from d, d d2), f as (select * from e, e e2), g as (select * from f, f f2), h as (select * from g, g g2) select count(*) from h
limit|invalid|ok: select {{300*(select 1) + }}1
limit|invalid|ok: select 1 from {{60*(select 1 as a) natural join }}(select 1 as a)
limit|invalid|ok: select * from (select 1 as a) x0{{15* left join (select 1 as a) y on true}}
limit|invalid|ok: select count(*) from t group by cube (id, k, n, name)
limit|invalid|ok: select {{400*case when random() > 2 then 1 else }}1{{400* end}}
limit|invalid|ok: select {{200*sum(id) over (order by k), }}1 from t
# allocation
limit|ok: select count(distinct a.n * 3162 + b.n) from range(3162) a(n), range(31620) b(n)
limit|ok: select list(a.n) from range(10000000) a(n), range(100) b(n)
limit|ok: select string_agg(repeat('x', 1000), ',') from range(1000000)
limit|ok: select a.n, b.n from range(100000) a(n), range(1000) b(n) order by hash(a.n, b.n) limit 3 offset 50000000
limit|ok: select median(hash(a.n, b.n)) from range(100000) a(n), range(1000) b(n)
limit|ok: select histogram(hash(a.n, b.n)) from range(100000) a(n), range(1000) b(n)
limit|invalid|ok: select [x for x in range(10000)], [[y for y in range(1000)] for x in range(100)]
limit|invalid|ok: select lpad('x', 1000000, 'yz') from range(10000000)
# time
limit: select count(*) from range(10000000) a(n), range(10000000) b(n) where hash(a.n, b.n) = 1
limit: select * from range(10000000) a(n), range(10000000) b(n)
limit: select count(*) from t a, t b, t c, t d, t e, t f, t g, t h where hash(a.id, b.id, c.id, d.id, e.id, f.id, g.id, h.id) = 1
limit: select max(md5(repeat(a.n || '-' || b.n, 100))) from range(10000000) a(n), range(1000) b(n)
limit: select max(factorial(30) % (1 + a.n)) from range(10000000) a(n), range(100000) b(n)
