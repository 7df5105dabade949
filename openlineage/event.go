// Package openlineage is lineage as the OpenLineage standard writes it: run events,
// made, read and sent. The standard is the one of https://openlineage.io, version
// 2-0-2 of its core; a client of it that others wrote cannot be had for Go.
package openlineage

import (
	"encoding/json"
	"time"

	"weft"
)

// Producer says who made an event, in the events.
const Producer = "urn:weft"

// The versions of what events are made of.
const (
	schemaBase      = "https://openlineage.io/spec/"
	schemaEvent     = schemaBase + "2-0-2/OpenLineage.json#/$defs/RunEvent"
	schemaFields    = schemaBase + "facets/1-1-1/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet"
	schemaColumns   = schemaBase + "facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"
	schemaAsserted  = schemaBase + "facets/1-0-1/DataQualityAssertionsDatasetFacet.json#/$defs/DataQualityAssertionsDatasetFacet"
	schemaWritten   = schemaBase + "facets/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet"
	schemaVersioned = schemaBase + "facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
	schemaError     = schemaBase + "facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
	schemaJobType   = schemaBase + "facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"
)

// EventType is a step of a run.
type EventType string

// The steps of a run.
const (
	Start    EventType = "START"
	Running  EventType = "RUNNING"
	Complete EventType = "COMPLETE"
	Abort    EventType = "ABORT"
	Fail     EventType = "FAIL"
	Other    EventType = "OTHER"
)

// Event says that a run of a job has come to a step, and what it reads and writes.
type Event struct {
	Type      EventType       `json:"eventType,omitempty"`
	Time      time.Time       `json:"eventTime"`
	Run       Run             `json:"run"`
	Job       Job             `json:"job"`
	Inputs    []InputDataset  `json:"inputs"`
	Outputs   []OutputDataset `json:"outputs"`
	Producer  string          `json:"producer"`
	SchemaURL string          `json:"schemaURL"`
}

// Run is one run of a job.
type Run struct {
	ID     string    `json:"runId"` // a UUID
	Facets RunFacets `json:"facets,omitzero"`
}

// RunFacets are what is known of a run.
type RunFacets struct {
	Error *ErrorMessage `json:"errorMessage,omitempty"`
}

// Job is what runs, again and again.
type Job struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Facets    JobFacets `json:"facets,omitzero"`
}

// JobFacets are what is known of a job.
type JobFacets struct {
	Type *JobType `json:"jobType,omitempty"`
}

// Dataset is something that holds data.
type Dataset struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Facets    DatasetFacets `json:"facets,omitzero"`
}

// InputDataset is a dataset that a run reads.
type InputDataset struct {
	Dataset
}

// OutputDataset is a dataset that a run writes.
type OutputDataset struct {
	Dataset
	OutputFacets OutputFacets `json:"outputFacets,omitzero"`
}

// DatasetFacets are what is known of a dataset.
type DatasetFacets struct {
	Schema     *Schema        `json:"schema,omitempty"`
	Columns    *ColumnLineage `json:"columnLineage,omitempty"`
	Assertions *Assertions    `json:"dataQualityAssertions,omitempty"`
	Version    *Version       `json:"version,omitempty"`
}

// OutputFacets are what is known of what a run wrote.
type OutputFacets struct {
	Statistics *Statistics `json:"outputStatistics,omitempty"`
}

// Facet is what every facet has.
type Facet struct {
	Producer  string `json:"_producer"`
	SchemaURL string `json:"_schemaURL"`
}

// ErrorMessage says why a run failed.
type ErrorMessage struct {
	Facet
	Message  string `json:"message"`
	Language string `json:"programmingLanguage"`
}

// JobType says how a job works.
type JobType struct {
	Facet
	Processing  string `json:"processingType"`
	Integration string `json:"integration"`
	Type        string `json:"jobType,omitempty"`
}

// Schema is the columns of a dataset.
type Schema struct {
	Facet
	Fields []Field `json:"fields"`
}

// Field is one column.
type Field struct {
	Name        string `json:"name"`
	Type        string `json:"type,omitempty"`
	Description string `json:"description,omitempty"`
}

// ColumnLineage says which columns each column is made from, and by which the rows are chosen.
type ColumnLineage struct {
	Facet
	Fields map[string]ColumnInputs `json:"fields"`
	Rows   []InputField            `json:"dataset,omitempty"`
}

// ColumnInputs are the columns that one column is made from.
type ColumnInputs struct {
	Inputs []InputField `json:"inputFields"`
}

// InputField is a column of another dataset, and how it goes in.
type InputField struct {
	Namespace       string           `json:"namespace"`
	Name            string           `json:"name"`
	Field           string           `json:"field"`
	Transformations []Transformation `json:"transformations,omitempty"`
}

// Transformation is how a column goes into another.
type Transformation struct {
	Type    string `json:"type"` // DIRECT or INDIRECT
	Subtype string `json:"subtype,omitempty"`
}

// Assertions are the checks that a dataset was held against.
type Assertions struct {
	Facet
	Assertions []Assertion `json:"assertions"`
}

// Assertion is one check and whether it holds.
type Assertion struct {
	Assertion string `json:"assertion"`
	Success   bool   `json:"success"`
	Column    string `json:"column,omitempty"`
	Severity  string `json:"severity,omitempty"` // error or warn
}

// Version says which state of a dataset is meant.
type Version struct {
	Facet
	Version string `json:"datasetVersion"`
}

// Statistics is how much a run wrote.
type Statistics struct {
	Facet
	Rows int64 `json:"rowCount"`
	Size int64 `json:"size,omitempty"`
}

// Sealed fills in what every event and every facet has to say of its form.
func (e Event) Sealed() Event {
	e.Producer, e.SchemaURL = Producer, schemaEvent
	e.Time = e.Time.UTC()
	if e.Inputs == nil {
		e.Inputs = []InputDataset{}
	}
	if e.Outputs == nil {
		e.Outputs = []OutputDataset{}
	}
	if f := e.Run.Facets.Error; f != nil {
		f.Facet = Facet{Producer, schemaError}
	}
	if f := e.Job.Facets.Type; f != nil {
		f.Facet = Facet{Producer, schemaJobType}
	}
	for _, d := range e.Inputs {
		d.Facets.seal()
	}
	for _, d := range e.Outputs {
		d.Facets.seal()
		if f := d.OutputFacets.Statistics; f != nil {
			f.Facet = Facet{Producer, schemaWritten}
		}
	}
	return e
}

func (f DatasetFacets) seal() {
	if x := f.Schema; x != nil {
		x.Facet = Facet{Producer, schemaFields}
	}
	if x := f.Columns; x != nil {
		x.Facet = Facet{Producer, schemaColumns}
	}
	if x := f.Assertions; x != nil {
		x.Facet = Facet{Producer, schemaAsserted}
	}
	if x := f.Version; x != nil {
		x.Facet = Facet{Producer, schemaVersioned}
	}
}

// JSON is the event as it is sent.
func (e Event) JSON() ([]byte, error) { return json.Marshal(e.Sealed()) }

// transformations are the standard's words for how a column goes in.
var transformations = map[weft.Derivation]Transformation{
	weft.DeriveIdentity:    {"DIRECT", "IDENTITY"},
	weft.DeriveTransform:   {"DIRECT", "TRANSFORMATION"},
	weft.DeriveAggregate:   {"DIRECT", "AGGREGATION"},
	weft.DeriveConditional: {"INDIRECT", "CONDITIONAL"},
	weft.DeriveJoin:        {"INDIRECT", "JOIN"},
	weft.DeriveFilter:      {"INDIRECT", "FILTER"},
	weft.DeriveGroup:       {"INDIRECT", "GROUP_BY"},
	weft.DeriveSort:        {"INDIRECT", "SORT"},
}

// TransformationOf is the standard's word for a derivation.
func TransformationOf(d weft.Derivation) Transformation { return transformations[d] }

// Derivation is what the standard's word means here: what it does not say, or what
// is not known, is a transform, or a filter where it is indirect.
func (t Transformation) Derivation() weft.Derivation {
	for d, x := range transformations {
		if x.Subtype == t.Subtype && (t.Type == "" || t.Type == x.Type) {
			return d
		}
	}
	switch {
	case t.Subtype == "WINDOW":
		return weft.DeriveSort
	case t.Type == "INDIRECT":
		return weft.DeriveFilter
	}
	return weft.DeriveTransform
}
