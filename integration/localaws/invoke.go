package localaws

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

// Invoke invokes a function in a Region with an event, and waits for its end:
// what a user with lambda:InvokeFunction can do. The error is the function's.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (s *Server) Invoke(ctx context.Context, region, name string, event []byte) error {
	fn := s.functions.named(name)
	if fn == nil {
		return fmt.Errorf("invoking function %s: there is none of this name", name)
	}
	// Told with the calls that the function makes, where the event is one of
	// a rotation's.
	var step stepEvent
	_ = json.Unmarshal(event, &step)
	return fn.invoke(ctx, &invoking{id: uuid.NewString(), region: region, secretARN: step.SecretID, step: step.Step}, event)
}
