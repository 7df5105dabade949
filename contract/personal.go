package contract

import (
	"strings"
	"unicode"
)

// personalWords are words that alone make a column personal, without marks and
// capitals.
var personalWords = wordSet(`
email mail emails mails courriel correo
phone telephone tel telefon telefono telephon handy cellphone msisdn fax
birth birthday birthdate dob bday geburtsdatum geburtstag geburt naissance nacimiento
ssn sin nino nin bsn svnr sozialversicherungsnummer passport reisepass pasaporte passeport taxid steuernummer
iban creditcard cardnumber kreditkarte cvv cvc kontonummer
address addresses addr adresse anschrift direccion indirizzo street strasse calle rue housenumber hausnummer
firstname lastname forename surname fullname middlename givenname familyname maidenname nickname
vorname nachname familienname prenom apellido apellidos cognome
username login password passwd pwd passwort
ip ipv4 ipv6 ipaddress ipaddr useragent macaddress imei imsi deviceid cookie
gender sex religion ethnicity nationality marital diagnosis disability
whatsapp skype linkedin facebook twitter instagram
`)

// personalPhrases are words that do so together, in this order.
var personalPhrases = [][]string{
	{"first", "name"},
	{"last", "name"},
	{"middle", "name"},
	{"given", "name"},
	{"family", "name"},
	{"full", "name"},
	{"sur", "name"},
	{"maiden", "name"},
	{"nick", "name"},
	{"user", "name"},
	{"login", "name"},
	{"contact", "name"},
	{"person", "name"},
	{"customer", "name"},
	{"client", "name"},
	{"employee", "name"},
	{"patient", "name"},
	{"member", "name"},
	{"holder", "name"},
	{"owner", "name"},
	{"passenger", "name"},
	{"guest", "name"},
	{"driver", "name"},
	{"billing", "name"},
	{"shipping", "name"},
	{"recipient", "name"},
	{"cardholder"},
	{"e", "mail"},
	{"mobile", "number"},
	{"mobile", "no"},
	{"mobile", "nr"},
	{"cell", "number"},
	{"contact", "number"},
	{"social", "security"},
	{"tax", "id"},
	{"tax", "number"},
	{"national", "id"},
	{"national", "insurance"},
	{"identity", "card"},
	{"id", "card"},
	{"credit", "card"},
	{"card", "number"},
	{"card", "no"},
	{"bank", "account"},
	{"account", "holder"},
	{"driver", "license"},
	{"driver", "licence"},
	{"drivers", "license"},
	{"drivers", "licence"},
	{"driving", "licence"},
	{"license", "plate"},
	{"licence", "plate"},
	{"house", "number"},
	{"user", "agent"},
	{"device", "id"},
	{"mac", "address"},
	{"blood", "type"},
	{"blood", "group"},
	{"mothers", "name"},
	{"fathers", "name"},
	{"date", "of", "death"},
}

// harmless are names in which a personal word means something else.
var harmless = [][]string{
	{"mail", "class"}, {"mail", "type"}, {"email", "count"}, {"address", "type"}, {"address", "count"}, {"phone", "model"}, {"phone", "type"}, {"cookie", "type"},
}

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// PersonalName reports whether a column is called like one that holds data of a
// person: e-mail, phone, birth, identity, account and card numbers, names of
// people, addresses, IP addresses and the like, in any usual spelling. It may
// err on the side of protection; content decides what names do not tell.
func PersonalName(column string) bool {
	words := nameWords(column)
	for _, h := range harmless {
		if contains(words, h) {
			return false
		}
	}
	if personalWords[strings.Join(words, "")] {
		return true
	}
	for _, w := range words {
		if personalWords[w] || personalWords[strings.TrimSuffix(w, "s")] && len(w) > 3 {
			return true
		}
	}
	for _, p := range personalPhrases {
		if contains(words, p) {
			return true
		}
	}
	return false
}

func contains(words, part []string) bool {
	for i := 0; i+len(part) <= len(words); i++ {
		same := true
		for j, w := range part {
			same = same && words[i+j] == w
		}
		if same {
			return true
		}
	}
	return false
}

// marks maps letters with marks to plain ones.
var marks = strings.NewReplacer("ä", "a", "ö", "o", "ü", "u", "ß", "ss", "á", "a", "à", "a", "â", "a", "é", "e", "è", "e", "ê", "e", "í", "i", "ó", "o", "ô", "o", "ú", "u", "ñ", "n", "ç", "c")

// nameWords splits customerEMail, CUSTOMER_EMAIL, "Customer e-mail" and
// customer.email into small words without marks.
func nameWords(name string) []string {
	var words []string
	var cur []rune
	flush := func() {
		if len(cur) > 0 {
			words = append(words, marks.Replace(strings.ToLower(string(cur))))
			cur = nil
		}
	}
	rs := []rune(name)
	for i, r := range rs {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case i > 0 && unicode.IsUpper(r) && (unicode.IsLower(rs[i-1]) || unicode.IsDigit(rs[i-1])):
			flush()
		case i > 0 && unicode.IsUpper(r) && unicode.IsUpper(rs[i-1]) && i+1 < len(rs) && unicode.IsLower(rs[i+1]):
			flush()
		}
		cur = append(cur, r)
	}
	flush()
	return words
}
