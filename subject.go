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
}

// Key tells subjects apart: the kind and the id. Two of one key share what one may
// have.
func (s Subject) Key() string { return string(s.Kind) + " " + s.ID }

// ProductSubject is the subject that a product reads its inputs as.
func ProductSubject(n Name) Subject {
	return Subject{Kind: SubjectProduct, ID: n.String(), Purpose: "derive"}
}
