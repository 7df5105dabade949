package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"weft"
	"weft/node"
	"weft/serve"
	"weft/serve/client"
)

// dataFolder is the folder that a node keeps its data in, unless it was told
// otherwise.
const dataFolder = ".weft"

// connect makes a client of the node that commands speak to: --node, then
// WEFT_NODE, then the local one.
func (a *app) connect() (*client.Client, error) {
	cfg := client.Config{URL: a.node, UserAgent: "weft/" + programVersion()}
	if cfg.URL == "" {
		cfg.URL, _ = a.env.lookup("WEFT_NODE")
	}
	cfg.CAFile, _ = a.env.lookup("WEFT_CA")
	cfg.Token, _ = a.env.lookup("WEFT_TOKEN")
	if err := a.findLocal(&cfg); err != nil {
		return nil, err
	}
	cl, err := client.New(cfg)
	if err == nil {
		a.spoke = append(a.spoke, cl)
	}
	return cl, err
}

// hangUp ends the connections to nodes, for a process that goes on.
func (a *app) hangUp() {
	for _, cl := range a.spoke {
		cl.Close()
	}
}

// findLocal fills what is missing from the local node's data folder. A local
// token is only ever sent to the local node's own address.
func (a *app) findLocal(cfg *client.Config) error {
	if cfg.URL != "" && cfg.Token != "" {
		return nil
	}
	dir, url, err := localNode()
	if err != nil {
		return err
	}
	switch {
	case cfg.URL == "" && dir == "":
		return weft.Errorf(weft.KindUnavailable, "find the node", "", "there is no node here: no folder %s with a running node in this folder or above it", dataFolder).
			WithHint("start one with weft up, or name one with --node URL or WEFT_NODE")
	case cfg.URL == "":
		cfg.URL = url
	}
	if cfg.Token != "" {
		return nil
	}
	if dir == "" || strings.TrimRight(cfg.URL, "/") != strings.TrimRight(url, "/") {
		return weft.Errorf(weft.KindDenied, "ask the node", cfg.URL, "there is no token for it").
			WithHint("set WEFT_TOKEN; its administrator makes one with weft token create")
	}
	cfg.Token, err = client.ReadToken(filepath.Join(dir, "token"))
	return err
}

// localNode finds the data folder of the node that runs in this folder or one
// above; dir is empty where there is none.
func localNode() (dir, url string, err error) {
	at, err := os.Getwd()
	if err != nil {
		return "", "", weft.Errorf(weft.KindUnavailable, "find the node", "", "%w", err)
	}
	for {
		data := filepath.Join(at, dataFolder)
		if s, fs := loadSettings(at, noFlags(), environment{}); len(fs) == 0 && s.from["data"] != "" {
			data = resolve(at, s.Data)
		}
		b, err := readBounded(filepath.Join(data, "node.json"), 64<<10)
		switch {
		case err == nil:
			var n struct {
				URL string `json:"url"`
			}
			if err := json.Unmarshal(b, &n); err != nil || n.URL == "" {
				return "", "", weft.Errorf(weft.KindCorrupt, "find the node", filepath.Join(data, "node.json"), "it does not say where the node is").
					WithHint("start the node again: it writes the file")
			}
			// Nobody holds the folder: whatever listens at that address now is not the
			// node, and must not get its token.
			if !node.InUse(filepath.Join(data, "lock")) {
				return "", "", weft.Errorf(weft.KindUnavailable, "find the node", at, "the node of this folder is not running").
					WithHint("start it with weft up, or name another with --node URL or WEFT_NODE")
			}
			return data, n.URL, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return "", "", weft.Errorf(weft.KindUnavailable, "find the node", data, "%w", err)
		}
		up := filepath.Dir(at)
		if up == at {
			return "", "", nil
		}
		at = up
	}
}

// home is the folder of weft.yaml at or above dir, or dir where there is none.
func home(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, configFile)); err == nil {
			return at
		}
		if filepath.Dir(at) == at {
			return dir
		}
	}
}

// resolve makes path absolute from dir.
func resolve(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// productArg reads domain.product or domain.product.table.
func productArg(s string) (weft.Name, string, error) {
	parts := strings.SplitN(s, ".", 3)
	if len(parts) < 3 {
		n, err := weft.ParseName(s)
		return n, "", err
	}
	n, err := weft.ParseName(parts[0] + "." + parts[1])
	if err == nil {
		err = weft.CheckName(parts[2])
	}
	return n, parts[2], err
}

// onlyTable leaves the named table in d.
func onlyTable(d *serve.ProductDetail, table string) error {
	full := weft.TableName{Name: d.Name, Table: table}.String()
	var names []string
	for _, t := range d.Schema {
		if t.Name == full || t.Name == d.Name.String()+"."+table {
			d.Schema = []serve.TableDetail{t}
			return nil
		}
		names = append(names, t.Name)
	}
	return weft.Errorf(weft.KindNotFound, "show the table", full, "the product has no such table").
		WithHint("it has %s", strings.Join(names, ", "))
}

// showAll lists the products for weft show without an argument.
func (a *app) showAll(ctx context.Context, cl *client.Client, format string) error {
	products, err := cl.Products(ctx)
	if err != nil {
		return err
	}
	if format == "json" {
		if products == nil {
			products = []serve.ProductSummary{}
		}
		return a.printJSON(products)
	}
	g := &grid{columns: []gridColumn{
		{title: "product"},
		{title: "life"},
		{title: "state"},
		{title: "rows", right: true},
		{title: "owner", optional: true},
		{title: "purpose", flex: true, optional: true},
	}}
	for _, s := range products {
		g.add(styled(bold, s.Name.String()), cell(string(s.Life)), styled(stateStyle(s.State), string(s.State)),
			cell(count(s.Rows)), cell(s.Owner), cell(oneLine(s.Purpose, 240)))
	}
	if len(products) == 0 {
		a.out.println("no products yet")
		return nil
	}
	g.print(a.out)
	return nil
}

// completeCuts completes the name of a saved cut.
func (a *app) completeCuts(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := a.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cuts, err := cl.Cuts(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, d := range cuts {
		if strings.HasPrefix(d.Name, prefix) {
			words = append(words, d.Name+"\t"+oneLine(d.Text, 60))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeProducts offers the node's products to the shell; without a node, it
// offers nothing.
func (a *app) completeProducts(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cl, err := a.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	products, err := cl.Products(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, s := range products {
		if strings.HasPrefix(s.Name.String(), prefix) {
			words = append(words, s.Name.String()+"\t"+oneLine(s.Purpose, 60))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
