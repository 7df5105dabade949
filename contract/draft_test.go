package contract

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weft"
)

// TestDraft compares the draft of a shape with testdata/draft.txtar.
func TestDraft(t *testing.T) {
	a := archive(t, "draft.txtar")
	shapes := map[string]*Shape{
		"file": shopShape(),
		"postgres": {
			Server: Server{Type: "postgres", Host: "db.example.com", Port: "5432", Database: "shop", Schema: "public", User: "${SHOP_USER}", Password: "${SHOP_PASSWORD}"},
			Tables: []ShapeTable{
				{Name: "orders", Physical: "Orders", Columns: []ShapeColumn{{Name: "id", Type: Type{Kind: KindUUID}}}, Key: []string{"id"}},
				{Name: "order_lines", Rows: 2, Columns: []ShapeColumn{{Name: "order_id", Type: Type{Kind: KindInt64}}, {Name: "line", Type: Type{Kind: KindInt16}}}, Key: []string{"order_id", "line"}},
			},
		},
		"web": {
			Server: Server{Type: "http", URL: "https://example.com/export?all=1"},
			Tables: []ShapeTable{{Name: "rows", Columns: []ShapeColumn{{Name: "x", Type: Type{}}}}},
		},
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		files, err := Draft(weft.Name{Domain: "sales", Product: "orders"}, shapes[name])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range slices.Sorted(maps.Keys(files)) {
			fmt.Fprintf(&b, "=== %s: %s\n%s", name, f, files[f])
		}
	}
	want := ""
	for _, f := range a.Files {
		want = string(f.Data)
	}
	compare(t, a, "testdata/draft.txtar", "drafts", want, b.String())
	for _, secret := range []string{"never@example.com", "1931", "2007"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("the draft holds %q, a value of a personal column", secret)
		}
	}
}

// TestDraftIsShort holds the draft of a pass-through to the size of the design:
// about 30 lines for a few columns.
func TestDraftIsShort(t *testing.T) {
	shape := shopShape()
	shape.Tables[0].Columns = shape.Tables[0].Columns[:4]
	files, err := Draft(weft.Name{Domain: "sales", Product: "orders"}, shape)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, data := range files {
		lines += bytes.Count(data, []byte("\n"))
	}
	if lines > 33 {
		t.Errorf("the draft of four columns has %d lines", lines)
	}
}

func TestDraftRefuses(t *testing.T) {
	name := weft.Name{Domain: "sales", Product: "orders"}
	secret := shopShape()
	secret.Server.Password = "hunter2"
	for what, c := range map[string]struct {
		name  weft.Name
		shape *Shape
	}{
		"nothing":      {name, nil},
		"no columns":   {name, &Shape{Tables: []ShapeTable{{Name: "x"}}}},
		"a bad name":   {weft.Name{Domain: "Sales", Product: "orders"}, shopShape()},
		"a secret":     {name, secret},
		"other server": {name, &Shape{Server: Server{Type: "kafka"}, Tables: shopShape().Tables}},
	} {
		_, err := Draft(c.name, c.shape)
		if weft.KindOf(err) != weft.KindInvalid || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestDraftOfAnything drafts random shapes: every draft is a folder without a
// fault, and no value of a personal column is in it.
func TestDraftOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		column := rapid.Custom(func(t *rapid.T) ShapeColumn {
			c := ShapeColumn{
				Name: rapid.StringN(1, 20, 60).Draw(t, "name"), Type: genType(1).Draw(t, "type"),
				Nulls: rapid.Int64Range(0, 1).Draw(t, "nulls"), Distinct: rapid.Int64Range(0, 100).Draw(t, "distinct"),
				Enum: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "enum"), Personal: rapid.Bool().Draw(t, "personal"),
				Min: rapid.SampledFrom([]string{"", "0", "-5.5", "3", "-9223372036854775808"}).Draw(t, "min"),
				Max: rapid.SampledFrom([]string{"", "0", "7", "120.25", "9223372036854775807", "1e400"}).Draw(t, "max"),
			}
			if c.Personal {
				c.Enum = []string{"person-" + "value"}
			}
			return c
		})
		cols := rapid.SliceOfNDistinct(column, 1, 6, func(c ShapeColumn) string { return strings.ToValidUTF8(strings.ToLower(c.Name), "\uFFFD") }).Draw(t, "columns")
		for i := range cols {
			cols[i].Name = strings.NewReplacer("\x00", "", "\n", " ", "\r", " ").Replace(cols[i].Name) + fmt.Sprint(i)
		}
		shape := &Shape{Server: Server{Type: "local", Path: rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "path") + ".csv"}, Tables: []ShapeTable{{Name: "rows", Rows: 100, Columns: cols}}}
		shape.Server.Path = strings.ReplaceAll(shape.Server.Path, "$", "") // a broken variable is a fault, and rightly
		if cols[0].Type.IsKey() {
			shape.Tables[0].Key = []string{cols[0].Name}
		}
		files, err := Draft(weft.Name{Domain: "sales", Product: "orders"}, shape)
		if err != nil {
			t.Fatal(err)
		}
		f, faults := ReadFiles(files)
		if len(faults) > 0 {
			t.Fatalf("%s", faults[0])
		}
		for i, c := range f.Table("").Columns {
			want := cols[i].Type
			if !c.Type.Equal(want) {
				t.Fatalf("column %q: wrote %s, read %s", c.Name, want, c.Type)
			}
			source := c.PhysicalName
			if source == "" {
				source = c.Name
			}
			if source != strings.ToValidUTF8(cols[i].Name, "\uFFFD") {
				t.Fatalf("column %q reads %q, not %q", c.Name, source, cols[i].Name)
			}
		}
		for _, data := range files {
			if bytes.Contains(data, []byte("person-value")) {
				t.Fatal("the draft holds a value of a personal column")
			}
		}
	})
}

func TestPersonalName(t *testing.T) {
	for _, n := range strings.Split("email,E-Mail,customer_email,customerEmail,CUSTOMER_EMAIL,emails,phone,PhoneNumber,mobile_number,tel,date_of_birth,birthDate,DOB,Geburtsdatum,"+
		"ssn,social_security_no,IBAN,creditCardNumber,card_no,address,shipping_address,Straße,street,first_name,FirstName,LASTNAME,Vorname,full name,customer.name,user_name,ip,ip_addr,clientIP,IPv4,user-agent,passport_no,licence_plate,gender,Prénom", ",") {
		if !PersonalName(n) {
			t.Errorf("%q should look personal", n)
		}
	}
	for _, n := range strings.Split("id,order_id,name,product_name,airline_name,carrier,tailnum,amount,ship_date,ratio,zip_file,trip,description,status,year,manufacturer,origin,dest,placed_at,email_count,store_id,skip,equipment,shipment,hotel,precipitation,wind_dir,tzone,model,engines", ",") {
		if PersonalName(n) {
			t.Errorf("%q should not look personal", n)
		}
	}
}
