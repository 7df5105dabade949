package weft

// SubjectKind says what asks.
type SubjectKind string

// The kinds of subjects.
const (
	SubjectPerson  SubjectKind = "person"
	SubjectService SubjectKind = "service"
	SubjectAgent   SubjectKind = "agent"
	SubjectProduct SubjectKind = "product"
)

// Subject is who asks, with attributes; always with a purpose.
type Subject struct {
	Kind       SubjectKind       `json:"kind"`
	ID         string            `json:"id"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Purpose    string            `json:"purpose,omitempty"`
	// Domains are those that the subject is of, as the node says that answers it:
	// they decide what it may read. None may read what everybody may.
	Domains []string `json:"domains,omitempty"`
}

// AllDomains, among a subject's domains, stands for every domain that the node
// speaks for which made the subject. It is never taken from another node.
const AllDomains = "*"

// Key tells subjects apart: the kind and the id. Two of one key share what one may
// have.
func (s Subject) Key() string { return string(s.Kind) + " " + s.ID }

// ProductSubject is the subject that a product reads its inputs as; it is of the
// product's domain.
func ProductSubject(n Name) Subject {
	return Subject{Kind: SubjectProduct, ID: n.String(), Purpose: "derive", Domains: []string{n.Domain}}
}
