package router

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// decodeRoute reads exactly one route; a field that this router does not know
// would be a wish that it does not fulfil.
func decodeRoute(data []byte) (Route, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var route Route
	if err := d.Decode(&route); err != nil {
		return Route{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return Route{}, errors.New("more than one route")
	}
	return route, nil
}
