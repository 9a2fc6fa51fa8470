package redshiftapi

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// query answers a call of Amazon Redshift. s.mu is held.
//
// https://docs.aws.amazon.com/redshift/latest/APIReference/CommonErrors.html
func (s *Server) query(w http.ResponseWriter, r *http.Request, region string) {
	if err := r.ParseForm(); err != nil || r.Form.Get("Version") != "2012-12-01" {
		queryFault(w, "InvalidParameterCombination", "not a call of the API")
		return
	}
	action := r.Form.Get("Action")
	if code := s.called("redshift", action, region); code != "" {
		queryFault(w, code, "the service was told to answer so")
		return
	}
	if action != "DescribeClusters" {
		queryFault(w, "InvalidAction", action)
		return
	}
	clusters := slices.Clone(s.regions[region].Clusters)
	if asked := r.Form.Get("ClusterIdentifier"); asked != "" && !s.careless {
		clusters = slices.DeleteFunc(clusters, func(c Cluster) bool { return !strings.EqualFold(c.ID, asked) })
		if len(clusters) == 0 {
			queryFault(w, "ClusterNotFound", "Cluster "+asked+" not found.")
			return
		}
	}
	clusters, marker := page(s, clusters, r.Form.Get("Marker"))
	body, err := xml.Marshal(clusters)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if marker != "" {
		marker = "<Marker>" + marker + "</Marker>"
	}
	_, _ = fmt.Fprintf(w, `<DescribeClustersResponse xmlns="http://redshift.amazonaws.com/doc/2012-12-01/"><DescribeClustersResult><Clusters>%s</Clusters>%s</DescribeClustersResult>`+
		`<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></DescribeClustersResponse>`, body, marker)
}

func queryFault(w http.ResponseWriter, code, message string) {
	w.WriteHeader(status(code))
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="http://redshift.amazonaws.com/doc/2012-12-01/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>`+
		`<RequestId>r</RequestId></ErrorResponse>`, code, message)
}
