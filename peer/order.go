package peer

// rank says in which order records can be judged: those by which others are judged
// come first.
func rank(kind string) int {
	switch kind {
	case KindCharter:
		return 0
	case KindDomain:
		return 1
	case KindAdmission:
		return 2
	case KindRotation:
		return 3
	case KindRevocation:
		return 4
	case KindNode:
		return 5
	case KindHandover:
		return 6
	case KindCard:
		return 7
	case KindHead:
		return 8
	}
	return 9
}
