package engine

/*
#include <stdlib.h>
#include "arrow.h"
#include "keyset.h"
#include "sieve.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	duck "github.com/duckdb/duckdb-go-bindings"
)

// database is one in-memory DuckDB with the one connection that all statements
// use. It is used by one goroutine; only interrupt and progress may be called
// beside a running statement.
type database struct {
	db   duck.Database
	conn duck.Connection
	ser  duck.PreparedStatement // text → tree
	des  duck.PreparedStatement // tree → text
}

// openDatabase opens an in-memory database with start settings and installs
// arrow_source, weft_unchanged, weft_may_have and weft_has.
func openDatabase(settings map[string]string) (*database, error) {
	var cfg duck.Config
	if duck.CreateConfig(&cfg) == duck.StateError {
		return nil, fmt.Errorf("the engine has no configuration")
	}
	defer duck.DestroyConfig(&cfg)
	for k, v := range settings {
		if duck.SetConfig(cfg, k, v) == duck.StateError {
			return nil, fmt.Errorf("the engine does not take the setting %s", k)
		}
	}
	d := &database{}
	var msg string
	if duck.OpenExt("", &d.db, cfg, &msg) == duck.StateError {
		return nil, fmt.Errorf("open the engine: %s", msg)
	}
	if duck.Connect(d.db, &d.conn) == duck.StateError {
		d.close()
		return nil, fmt.Errorf("the engine gives no connection")
	}
	if C.weft_source_register(d.conn.Ptr) != 0 {
		d.close()
		return nil, fmt.Errorf("the engine does not take arrow_source")
	}
	if C.weft_keysets_register(d.conn.Ptr) != 0 {
		d.close()
		return nil, fmt.Errorf("the engine does not take weft_unchanged")
	}
	if C.weft_sieve_register(d.conn.Ptr) != 0 {
		d.close()
		return nil, fmt.Errorf("the engine does not take weft_has")
	}
	return d, nil
}

// close frees the database. Its readers must be released before.
func (d *database) close() {
	duck.DestroyPrepare(&d.ser)
	duck.DestroyPrepare(&d.des)
	duck.Disconnect(&d.conn)
	duck.Close(&d.db)
}

// interrupt stops the running statement; one that starts later is not touched.
func (d *database) interrupt() { duck.Interrupt(d.conn) }

// progress is the share of the running statement that is done, negative where
// the engine cannot tell.
func (d *database) progress() float64 {
	p := duck.QueryProgress(d.conn)
	percent, _, _ := duck.QueryProgressTypeMembers(&p)
	if percent < 0 {
		return -1
	}
	return min(percent/100, 1)
}

// run executes a statement for its effect.
func (d *database) run(sql string) error {
	var res duck.Result
	state := duck.Query(d.conn, sql, &res)
	defer duck.DestroyResult(&res)
	if state == duck.StateError {
		return fmt.Errorf("%s", duck.ResultError(&res))
	}
	return nil
}

// exec executes exactly one statement to its end and returns the number of rows
// it changed or copied.
func (d *database) exec(sql string) (rows int64, kind duck.StatementType, err error) {
	st, err := d.prepare(sql)
	if err != nil {
		return 0, 0, err
	}
	defer duck.DestroyPrepare(&st)
	kind = duck.PreparedStatementType(st)
	var res duck.Result
	state := duck.ExecutePrepared(st, &res)
	defer duck.DestroyResult(&res)
	if state == duck.StateError {
		return 0, kind, fmt.Errorf("%s", duck.ResultError(&res))
	}
	if rows = int64(duck.RowsChanged(&res)); rows == 0 {
		rows = firstInt(&res)
	}
	return rows, kind, nil
}

// firstInt returns the single BIGINT that COPY answers with.
func firstInt(res *duck.Result) int64 {
	if duck.ColumnCount(res) != 1 || duck.ColumnType(res, 0) != duck.TypeBigInt || duck.ColumnName(res, 0) != "Count" {
		return 0
	}
	ch := duck.FetchChunk(*res)
	if ch.Ptr == nil {
		return 0
	}
	defer duck.DestroyDataChunk(&ch)
	if duck.DataChunkGetSize(ch) != 1 {
		return 0
	}
	return *(*int64)(duck.VectorGetData(duck.DataChunkGetVector(ch, 0)))
}

// prepare parses and binds exactly one statement.
func (d *database) prepare(sql string) (duck.PreparedStatement, error) {
	var st duck.PreparedStatement
	if strings.IndexByte(sql, 0) >= 0 {
		return st, classed("Invalid Input", "the text has a zero byte")
	}
	if duck.Prepare(d.conn, sql, &st) == duck.StateError {
		err := fmt.Errorf("%s", duck.PrepareError(st))
		duck.DestroyPrepare(&st)
		return st, err
	}
	return st, nil
}

// parse returns the engine's syntax tree of text, as JSON; a text that does not
// parse gives a JSON object with error: true.
func (d *database) parse(text string) ([]byte, error) {
	return d.call(&d.ser, "select json_serialize_sql($1::varchar)::varchar", text)
}

// deparse returns the SQL of a syntax tree.
func (d *database) deparse(tree []byte) (string, error) {
	b, err := d.call(&d.des, "select json_deserialize_sql($1::json)", string(tree))
	return string(b), err
}

// call runs a text → text statement, prepared once.
func (d *database) call(st *duck.PreparedStatement, sql, arg string) ([]byte, error) {
	if st.Ptr == nil {
		p, err := d.prepare(sql)
		if err != nil {
			return nil, err
		}
		*st = p
	}
	if duck.BindVarcharLength(*st, 1, arg, duck.IdxT(len(arg))) == duck.StateError {
		return nil, classed("Invalid Input", "%s", duck.PrepareError(*st))
	}
	var res duck.Result
	state := duck.ExecutePrepared(*st, &res)
	defer duck.DestroyResult(&res)
	if state == duck.StateError {
		return nil, fmt.Errorf("%s", duck.ResultError(&res))
	}
	ch := duck.FetchChunk(res)
	if ch.Ptr == nil || duck.DataChunkGetSize(ch) != 1 {
		return nil, classed("INTERNAL", "no answer from the parser")
	}
	defer duck.DestroyDataChunk(&ch)
	s := (*duck.StringT)(duck.VectorGetData(duck.DataChunkGetVector(ch, 0)))
	return []byte(duck.StringTData(s)), nil
}

// setting returns the value in force as text.
func (d *database) setting(name string) (string, error) {
	var st duck.PreparedStatement
	b, err := d.call(&st, "select coalesce(current_setting($1)::varchar, '')", name)
	duck.DestroyPrepare(&st)
	return string(b), err
}

// arrowError turns an error_data into an error and destroys it.
func arrowError(p unsafe.Pointer) error {
	if p == nil {
		return nil
	}
	defer C.duckdb_destroy_error_data(&p)
	if !bool(C.duckdb_error_data_has_error(p)) {
		return nil
	}
	return fmt.Errorf("%s", C.GoString(C.duckdb_error_data_message(p)))
}
