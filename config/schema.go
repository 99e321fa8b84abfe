package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// schemaID names the dialect of the schema.
const schemaID = "https://json-schema.org/draft/2020-12/schema"

type object = map[string]any

// Schema returns the JSON schema of shipper.yaml, made from the types: what
// an editor needs to complete and check. Load checks more than it can say.
func Schema() []byte {
	s := schemaOf(reflect.TypeFor[File](), "")
	s["$schema"] = schemaID
	s["title"] = "shipper.yaml"
	s["required"] = []string{"service", "environments"}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil { // only maps, slices and strings in it
		panic(err)
	}
	return append(data, '\n')
}

func schemaOf(t reflect.Type, tag reflect.StructTag) object {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return object{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	case reflect.TypeFor[Values]():
		return object{"type": "object"}
	case reflect.TypeFor[Step]():
		return stepSchema()
	case reflect.TypeFor[HelperChoice]():
		file := structSchema(reflect.TypeFor[HelperFile]())
		return object{"oneOf": []any{object{"const": preinstalled}, file, object{"type": "array", "items": file}}}
	case reflect.TypeFor[Amount]():
		return amountSchema()
	case reflect.TypeFor[Batch]():
		names := object{"type": "array", "items": object{"type": "string"}}
		return object{"oneOf": []any{names, structSchema(t), amountSchema()}}
	case reflect.TypeFor[Host]():
		return object{"oneOf": []any{object{"type": "string"}, structSchema(t)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), tag)
	case reflect.Struct:
		return structSchema(t)
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem(), tag)}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), tag)}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return textSchema(tag)
	case reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "integer"}
}

func amountSchema() object {
	return object{"type": []string{"integer", "string"}, "pattern": "^[0-9]+%?$", "minimum": 0}
}

func structSchema(t reflect.Type) object {
	properties := object{}
	keys, fields := shape(t)
	for i, key := range keys {
		field := t.Field(fields[i])
		s := schemaOf(field.Type, field.Tag)
		s["description"] = descriptions()[t.Name()+"."+key]
		properties[key] = s
	}
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

func textSchema(tag reflect.StructTag) object {
	s := object{"type": "string"}
	if tag.Get("scalar") == "any" {
		s["type"] = []string{"string", "number", "boolean"}
	}
	if enum := tag.Get("enum"); enum != "" {
		s["enum"] = strings.Split(enum, "|")
	}
	return s
}

func stepSchema() object {
	duration := schemaOf(reflect.TypeFor[time.Duration](), "")
	long := object{"type": "object", "properties": object{"duration": duration}, "additionalProperties": false}
	forms := object{
		"setWeight": object{"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.01},
		"pause":     object{"oneOf": []any{duration, long, object{"type": "null"}}},
		"analysis":  object{"oneOf": []any{object{"const": true}, object{"type": "object", "maxProperties": 0}}},
	}
	for key, form := range forms {
		form.(object)["description"] = descriptions()["Step."+key]
	}
	return object{
		"type": "object", "properties": forms, "additionalProperties": false,
		"minProperties": 1, "maxProperties": 1,
	}
}
