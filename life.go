package weft

// Life is a product's declared stage.
type Life string

// The stages of a product's life, as ODPS names them.
const (
	LifeProposed   Life = "proposed"
	LifeDraft      Life = "draft"
	LifeActive     Life = "active"
	LifeDeprecated Life = "deprecated"
	LifeRetired    Life = "retired"
)

// State is a product's observed state.
type State string

// The states a product is seen in.
const (
	StateEmpty           State = "empty"   // applied, nothing committed yet
	StateLoading         State = "loading" // the first load is running
	StateFresh           State = "fresh"
	StateLate            State = "late"
	StateRefused         State = "refused"
	StatePaused          State = "paused"
	StateSourceLost      State = "source lost"
	StateUpstreamStopped State = "upstream stopped"
	StateUnreachable     State = "unreachable"
	StateRetired         State = "retired"
	StateDamaged         State = "damaged" // stored bytes are not what was written; what is whole can be read
)

// States lists all states.
func States() []State {
	return []State{
		StateEmpty, StateLoading, StateFresh, StateLate, StateRefused, StatePaused, StateSourceLost,
		StateUpstreamStopped, StateUnreachable, StateRetired, StateDamaged,
	}
}
