//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A cell is where in a scenario something was measured.
type cell struct{ variant, server string }

// Results are what was measured, once for each repetition.
type results map[cell][]measured

// value returns the median of what was measured.
func (r results) value(variant, server string, m metric) (float64, bool) {
	all := r.sorted(variant, server, m)
	if len(all) == 0 {
		return 0, false
	}
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2, true
	}
	return all[len(all)/2], true
}

func (r results) sorted(variant, server string, m metric) (all []float64) {
	for _, one := range r[cell{variant, server}] {
		all = append(all, one.values[m])
	}
	slices.Sort(all)
	return all
}

// A column shows a metric.
type column struct {
	title  string
	metric metric
	format func(float64) string
}

func plain(v float64) string     { return thousands(fmt.Sprintf("%.0f", v)) }
func tenths(v float64) string    { return fmt.Sprintf("%.1f", v) }
func micros(v float64) string    { return fmt.Sprintf("%.3f", v/1e3) }
func millis(v float64) string    { return fmt.Sprintf("%.1f", v/1e6) }
func kibibytes(v float64) string { return fmt.Sprintf("%.2f", v/(1<<10)) }
func mebibytes(v float64) string { return fmt.Sprintf("%.1f", v/(1<<20)) }

// thousands puts commas into a whole number.
func thousands(s string) string {
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// A target is a number that is compared with a bound.
type target struct {
	what    string
	value   func(results) (float64, bool)
	bound   float64
	stretch float64 // a better bound; zero means none
	least   bool    // the value is to be at least the bound
}

func atMost(what string, bound, stretch float64, value func(results) (float64, bool)) target {
	return target{what, value, bound, stretch, false}
}

func atLeast(what string, bound float64, value func(results) (float64, bool)) target {
	return target{what, value, bound, 0, true}
}

// ratio divides the medians of two cells.
func ratio(m metric, variant1, server1, variant2, server2 string) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		a, ok1 := r.value(variant1, server1, m)
		b, ok2 := r.value(variant2, server2, m)
		return a / b, ok1 && ok2
	}
}

// number is the median of one cell, in a unit.
func number(m metric, variant, server string, unit float64) func(results) (float64, bool) {
	return func(r results) (float64, bool) {
		v, ok := r.value(variant, server, m)
		return v / unit, ok
	}
}

func (t target) row(v float64) []string {
	sign, met := "≤", v <= t.bound
	if t.least {
		sign, met = "≥", v >= t.bound
	}
	verdict := "missed"
	switch {
	case met && t.stretch != 0 && v <= t.stretch:
		verdict = "met, and " + sign + " " + fmt.Sprint(t.stretch)
	case met:
		verdict = "met"
	}
	return []string{t.what, fmt.Sprintf("%.3f", v), fmt.Sprintf("%s %g", sign, t.bound), verdict}
}

// print writes a scenario's table, and how its targets were met.
func (s *scenario) print(w io.Writer, r results, markdown bool) {
	rows := [][]string{{s.name, "server"}}
	for _, c := range s.columns {
		rows[0] = append(rows[0], c.title)
	}
	rows[0] = append(rows[0], "faults")
	for _, v := range s.variants {
		for _, k := range kinds {
			if all := r[cell{v.label, k.name}]; len(all) > 0 {
				rows = append(rows, s.row(r, v.label, k.name))
			}
		}
	}
	if markdown {
		fmt.Fprintf(w, "\n### %s\n\n%s.\n\n", s.name, s.about)
	} else {
		fmt.Fprintf(w, "\n%s: %s\n\n", s.name, s.about)
	}
	printTable(w, rows, markdown)
	rows = [][]string{{"target", "measured", "bound", ""}}
	for _, t := range s.targets {
		if v, ok := t.value(r); ok {
			rows = append(rows, t.row(v))
		}
	}
	if len(rows) > 1 {
		fmt.Fprintln(w)
		printTable(w, rows, markdown)
	}
}

func (s *scenario) row(r results, variant, server string) []string {
	row := []string{variant, server}
	for _, c := range s.columns {
		v, _ := r.value(variant, server, c.metric)
		text := c.format(v)
		if all := r.sorted(variant, server, c.metric); c.metric == cpu && len(all) > 1 {
			text += fmt.Sprintf(" (%s to %s)", c.format(all[0]), c.format(all[len(all)-1]))
		}
		row = append(row, text)
	}
	var all faults
	for _, m := range r[cell{variant, server}] {
		all = all.plus(m.faults)
	}
	return append(row, all.String())
}

// printTable writes rows, the first of which is the head.
func printTable(w io.Writer, rows [][]string, markdown bool) {
	if !markdown {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		_ = tw.Flush() // what is behind w says so itself
		return
	}
	for i, row := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(w, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
}
