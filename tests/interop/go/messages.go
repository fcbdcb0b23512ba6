package main

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// request is weft.interop.v1.Request: what contract.ts says, written by hand.
type request struct {
	payload []byte
	answers uint64
	act     string
}

// response is weft.interop.v1.Response.
type response struct {
	payload []byte
	count   uint64
}

// message is a message of the contract.
type message interface {
	marshal() []byte
	set(number protowire.Number, bytes []byte, varint uint64)
}

func (r *request) marshal() []byte {
	return appendVarint(appendBytes(appendBytes(nil, 1, r.payload), 3, []byte(r.act)), 2, r.answers)
}

func (r *request) set(number protowire.Number, bytes []byte, varint uint64) {
	switch number {
	case 1:
		r.payload = bytes
	case 2:
		r.answers = varint
	case 3:
		r.act = string(bytes)
	}
}

func (r *response) marshal() []byte {
	return appendVarint(appendBytes(nil, 1, r.payload), 2, r.count)
}

func (r *response) set(number protowire.Number, bytes []byte, varint uint64) {
	switch number {
	case 1:
		r.payload = bytes
	case 2:
		r.count = varint
	}
}

func appendBytes(to []byte, number protowire.Number, value []byte) []byte {
	if len(value) == 0 {
		return to
	}
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

func appendVarint(to []byte, number protowire.Number, value uint64) []byte {
	if value == 0 {
		return to
	}
	return protowire.AppendVarint(protowire.AppendTag(to, number, protowire.VarintType), value)
}

func unmarshal(data []byte, into message) error {
	for len(data) > 0 {
		number, kind, tagLength := protowire.ConsumeTag(data)
		if tagLength < 0 {
			return protowire.ParseError(tagLength)
		}
		data = data[tagLength:]
		var (
			bytes  []byte
			varint uint64
			length int
		)
		switch kind {
		case protowire.BytesType:
			bytes, length = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			varint, length = protowire.ConsumeVarint(data)
		default:
			return fmt.Errorf("field %d is of kind %d", number, kind)
		}
		if length < 0 {
			return protowire.ParseError(length)
		}
		into.set(number, bytes, varint)
		data = data[length:]
	}
	return nil
}

// codec writes and reads the messages of the contract. It goes by the name of the one that it replaces.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(value any) (mem.BufferSlice, error) {
	written, ok := value.(message)
	if !ok {
		return nil, fmt.Errorf("%T is no message of the contract", value)
	}
	return mem.BufferSlice{mem.SliceBuffer(written.marshal())}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, value any) error {
	into, ok := value.(message)
	if !ok {
		return fmt.Errorf("%T is no message of the contract", value)
	}
	return unmarshal(data.Materialize(), into)
}

var _ encoding.CodecV2 = codec{}
