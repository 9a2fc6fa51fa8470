package mygrants

import (
	"fmt"
	"slices"
	"strings"
)

// Parse reads the rows of SHOW GRANTS FOR account. The session must have
// sql_quote_show_create on and no ANSI_QUOTES in its sql_mode: else rows cannot
// be read without a doubt. An account without a host is a role of MariaDB.
//
// An error tells the shape of the row that was not understood, and neither a
// string of it nor a hash.
func Parse(d Dialect, account Account, rows []string) (Set, error) {
	set := make(Set)
	for i, row := range rows {
		tokens, err := tokenize(row)
		if err == nil {
			p := &parser{dialect: d, account: account, tokens: tokens, set: set}
			if err = p.row(); err == nil && p.position < len(tokens) {
				err = p.unexpected("nothing more")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("row %d of SHOW GRANTS FOR %s is not understood: %w", i+1, account, err)
		}
	}
	return set, nil
}

// parser reads one row.
type parser struct {
	dialect  Dialect
	account  Account
	tokens   []token
	position int
	set      Set
}

func (p *parser) peek() token {
	if p.position < len(p.tokens) {
		return p.tokens[p.position]
	}
	return token{}
}

func (p *parser) take() token {
	t := p.peek()
	p.position++
	return t
}

// took moves on where the next tokens are these words or marks.
func (p *parser) took(values ...string) bool {
	for i, value := range values {
		at := p.position + i
		if at >= len(p.tokens) || !p.tokens[at].is(word, value) && !p.tokens[at].is(mark, value) {
			return false
		}
	}
	p.position += len(values)
	return true
}

func (p *parser) unexpected(wanted string) error {
	at := min(p.position, len(p.tokens))
	return fmt.Errorf("%s where %s belongs, after %s", p.peek(), wanted, shown(p.tokens[:at]))
}

func (p *parser) want(values ...string) error {
	if !p.took(values...) {
		return p.unexpected(strings.Join(values, " "))
	}
	return nil
}

func (p *parser) name() (string, error) {
	if p.peek().kind != name {
		return "", p.unexpected("a name")
	}
	return p.take().value, nil
}

func (p *parser) row() error {
	switch {
	case p.took("GRANT", "PROXY", "ON"):
		return p.proxy()
	case p.took("GRANT"):
		if p.peek().kind == name {
			return p.roles()
		}
		return p.privileges()
	case p.dialect == MySQL && p.took("REVOKE"):
		return p.partialRevoke()
	case p.dialect == MariaDB && p.took("SET", "DEFAULT", "ROLE"):
		return p.defaultRole()
	}
	return p.unexpected("a grant")
}

// host reads the rest of an account after its name.
func (p *parser) host(user string) (Account, error) {
	if err := p.want("@"); err != nil {
		return Account{}, err
	}
	host, err := p.name()
	return Account{User: user, Host: host}, err
}

func (p *parser) otherAccount() (Account, error) {
	user, err := p.name()
	if err != nil {
		return Account{}, err
	}
	return p.host(user)
}

// granted reads a role as the dialect writes it.
func (p *parser) granted() (Account, error) {
	user, err := p.name()
	if err != nil || p.dialect == MariaDB {
		return Account{User: user}, err
	}
	return p.host(user)
}

// grantee reads the word before the account, and the account, which must be the
// one that was asked for.
func (p *parser) grantee(before string) error {
	if err := p.want(before); err != nil {
		return err
	}
	user, err := p.name()
	if err != nil {
		return err
	}
	account := Account{User: user}
	if p.dialect == MySQL || p.account.Host != "" {
		if account, err = p.host(user); err != nil {
			return err
		}
	}
	if account != p.account {
		return fmt.Errorf("it is about %s", account)
	}
	return nil
}

func (p *parser) proxy() error {
	account, err := p.otherAccount()
	if err != nil {
		return err
	}
	if err := p.grantee("TO"); err != nil {
		return err
	}
	p.set.Add(Atom{Kind: Proxy, Account: account, Option: p.took("WITH", "GRANT", "OPTION")})
	return nil
}

func (p *parser) roles() error {
	var roles []Account
	for {
		role, err := p.granted()
		if err != nil {
			return err
		}
		roles = append(roles, role)
		if !p.took(",") {
			break
		}
	}
	if err := p.grantee("TO"); err != nil {
		return err
	}
	admin := p.took("WITH", "ADMIN", "OPTION")
	for _, role := range roles {
		p.set.Add(Atom{Kind: Role, Account: role, Option: admin})
	}
	return nil
}

func (p *parser) defaultRole() error {
	role, err := p.granted()
	if err != nil {
		return err
	}
	p.set.Add(Atom{Kind: DefaultRole, Account: role})
	return p.grantee("FOR")
}

func (p *parser) partialRevoke() error {
	privileges, err := p.list()
	if err != nil {
		return err
	}
	object, err := p.object()
	if err != nil {
		return err
	}
	if object.isGlobal() || object.Name != "" {
		return fmt.Errorf("a partial revoke on %s, which is no database", object)
	}
	for _, a := range privileges {
		if a.Column != "" || a.Name == usage {
			return fmt.Errorf("a partial revoke of %s", a.privilege())
		}
		p.set.Add(Atom{Kind: PartialRevoke, Name: a.Name, Object: object})
	}
	return p.grantee("FROM")
}

// usage is the name of no privilege at all.
const usage = "USAGE"

func (p *parser) privileges() error {
	privileges, err := p.list()
	if err != nil {
		return err
	}
	object, err := p.object()
	if err != nil {
		return err
	}
	if err := p.grantee("TO"); err != nil {
		return err
	}
	if p.dialect == MariaDB && object.isGlobal() {
		if err := p.authentication(); err != nil {
			return err
		}
	}
	option, err := p.grantOption(object)
	if err != nil {
		return err
	}
	dynamic := 0
	for _, a := range privileges {
		switch {
		case a.Column != "" && (object.Name == "" || object.Kind != "" || a.Name == usage):
			return fmt.Errorf("%s on %s", a.privilege(), object)
		case a.Name == usage:
		case p.dialect == MySQL && object.isGlobal() && isDynamic(a.Name):
			dynamic++
			p.set.Add(Atom{Kind: Dynamic, Name: a.Name, Option: option})
		default:
			a.Object = object
			p.set.Add(a)
		}
	}
	// The option that ends the row is of all of one kind.
	if dynamic > 0 && dynamic < len(privileges) {
		return fmt.Errorf("dynamic privileges among others in one row: %s", shown(p.tokens))
	}
	if option && dynamic == 0 {
		p.set.Add(Atom{Kind: GrantOption, Object: object})
	}
	return nil
}

// isDynamic tells the privileges that components register from those that the
// server has built in: in the manual's lists only their names have underscores.
//
// https://dev.mysql.com/doc/refman/9.7/en/privileges-provided.html
func isDynamic(privilege string) bool { return strings.Contains(privilege, "_") }

// list reads privileges, with their columns, up to the word ON.
func (p *parser) list() ([]Atom, error) {
	var out []Atom
	for {
		var words []string
		for p.peek().kind == word && p.peek().value != "ON" {
			words = append(words, p.take().value)
		}
		privilege := strings.Join(words, " ")
		switch privilege {
		case "", "PROXY", "GRANT OPTION":
			return nil, p.unexpected("a privilege")
		}
		if p.took("(") {
			columns, err := p.columns()
			if err != nil {
				return nil, err
			}
			for _, column := range columns {
				out = append(out, Atom{Kind: Privilege, Name: privilege, Column: column})
			}
		} else {
			out = append(out, Atom{Kind: Privilege, Name: privilege})
		}
		if !p.took(",") {
			return out, p.want("ON")
		}
	}
}

func (p *parser) columns() ([]string, error) {
	var columns []string
	for {
		column, err := p.name()
		if err != nil {
			return nil, err
		}
		if column == "" {
			return nil, p.unexpected("the name of a column")
		}
		columns = append(columns, column)
		if !p.took(",") {
			return columns, p.want(")")
		}
	}
}

func (p *parser) object() (Object, error) {
	if p.took("*", ".", "*") {
		return Object{}, nil
	}
	var o Object
	var words []string
	for p.peek().kind == word {
		words = append(words, p.take().value)
	}
	o.Kind = strings.Join(words, " ")
	if !slices.Contains([]string{"", Procedure, Function, Library, Package, PackageBody}, o.Kind) {
		return o, fmt.Errorf("an object of an unknown kind: %s", o.Kind)
	}
	var err error
	if o.Database, err = p.name(); err != nil {
		return o, err
	}
	if err := p.want("."); err != nil {
		return o, err
	}
	if o.Database == "" {
		return o, p.unexpected("the name of a database before this")
	}
	if o.Kind == "" && p.took("*") {
		return o, nil
	}
	if o.Name, err = p.name(); err == nil && o.Name == "" {
		err = p.unexpected("the name of an object before this")
	}
	return o, err
}

// grantOption reads the end of a row: in MariaDB limits may follow.
func (p *parser) grantOption(object Object) (bool, error) {
	if !p.took("WITH") {
		return false, nil
	}
	option := p.took("GRANT", "OPTION")
	limits := 0
	for p.dialect == MariaDB && object.isGlobal() && strings.HasPrefix(p.peek().value, "MAX_") {
		limits++
		p.take()
		p.took("-")
		if p.take().kind != word {
			return false, p.unexpected("a limit before this")
		}
		if p.took(".") && p.take().kind != word {
			return false, p.unexpected("a limit before this")
		}
	}
	if !option && limits == 0 {
		return false, p.unexpected("GRANT OPTION")
	}
	return option, nil
}

// authentication passes over how the account authenticates, in MariaDB's row of
// global privileges.
//
// https://mariadb.com/docs/server/reference/sql-statements/account-management-sql-statements/grant
func (p *parser) authentication() error {
	switch {
	case p.took("IDENTIFIED", "BY", "PASSWORD"):
		if p.take().kind != text {
			return p.unexpected("a string before this")
		}
	case p.took("IDENTIFIED", "VIA"):
		for {
			if k := p.take().kind; k != word && k != name {
				return p.unexpected("a plugin before this")
			}
			if (p.took("USING") || p.took("AS")) && p.take().kind != text {
				return p.unexpected("a string before this")
			}
			if !p.took("OR") {
				break
			}
		}
	}
	if !p.took("REQUIRE") || p.took("SSL") || p.took("X509") || p.took("NONE") {
		return nil
	}
	for n := 0; ; n++ {
		if !p.took("ISSUER") && !p.took("SUBJECT") && !p.took("CIPHER") {
			if n == 0 {
				return p.unexpected("what is required")
			}
			return nil
		}
		if p.take().kind != text {
			return p.unexpected("a string before this")
		}
		p.took("AND")
	}
}
