# SPDX-License-Identifier: BSL-1.0
#
# Draws the headline experiment: headline.svg and headline.png (speed-up), headline_time.svg and
# headline_time.png (time of a round), from headline.dat in the folder `dir`.
#
#   gnuplot -e "dir='build/bench'" benchmarks/headline/headline.gnuplot

if (!exists("dir")) dir = "."
data = dir . "/headline.dat"

# The program wrote what the titles say, as comments. An underscore would lower the next letter.
field(name) = system("sed -n 's/^# " . name . " //p' '" . data . "' | sed 's/_/\\\\_/g'")
machine = field("machine")
date = field("date")
commit = field("commit")
cores = int(field("cores"))
quick = int(field("quick"))
count = words(system("sed -n 's/^# variant \\([^:]*\\):.*/\\1/p' '" . data . "'"))
name(i) = system(sprintf("sed -n 's/^# variant \\([^:]*\\):.*/\\1/p' '%s' | sed -n %dp", data, i))
title(i) = system(sprintf("sed -n 's/^# variant [^:]*://p' '%s' | sed 's/_/\\\\_/g' | sed -n %dp", \
                          data, i))
block(i, objects) = sprintf("%s/%d", name(i), objects)

# Both panels of a figure have the same axes.
stats data using 3 name "times" nooutput
stats data using 4 name "late_times" nooutput
stats data using 6 name "speed_ups" nooutput
least_time = times_min
most_time = late_times_max
least_speed_up = speed_ups_min

# Colours of Okabe and Ito, which the colour-blind tell apart, and a mark of its own for each.
colours = "#666666 #D55E00 #CC79A7 #56B4E9 #009E73 #E69F00 #0072B2 #000000"
marks = "0 8 10 4 6 12 14 2"
names = "serial async oneTBB Handler call multiple_run run map"
# By name, so that what is left out does not shift the others' colours.
place(i) = sum [k = 1 : words(names)] (word(names, k) eq name(i) ? k : 0)
colour(i) = word(colours, place(i))
mark(i) = int(word(marks, place(i)))

set encoding utf8
look = "reset; \
  set border 3 lw 1 lc rgb '#444444'; \
  set tics nomirror out scale 0.6 textcolor rgb '#222222'; \
  set grid xtics ytics lc rgb '#d8d8d8' lw 1 dt 1; \
  set logscale xy; \
  set xrange [0.07 : 14000]; \
  set xtics ('100 ns' 0.1, '1 µs' 1, '10 µs' 10, '100 µs' 100, '1 ms' 1000, '10 ms' 10000); \
  set xlabel 'length of one task'; \
  unset key; \
  set errorbars small"
@look

heading(what) = sprintf("{/:Bold*1.25 %s}\n{/*0.85 %s · %d cores used · %s · apalis %s%s}", what, \
                        machine, cores, date, commit, quick ? " · QUICK RUN, MEANS NOTHING" : "")
panel_title(objects) = sprintf("{/:Bold %d task%s a core and round}", objects, \
                               objects == 1 ? "" : "s")

# --- The two figures ------------------------------------------------------------------------------

# The first variant is the serial loop: speed-up 1.
draw_speed_up = "plot \
  1 with lines lc rgb '#666666' lw 1.5 dt 2 notitle, \
  cores with lines lc rgb '#666666' lw 1.5 dt 2 notitle, \
  for [i = 2 : count] data index block(i, objects) using 1:5:6:7 with yerrorlines \
    lc rgb colour(i) lw 1.6 pt mark(i) ps 0.75 notitle"
draw_time = "plot \
  data index block(1, objects) using 1:2 with lines lc rgb colour(1) lw 1.6 dt 2 notitle, \
  for [i = 2 : count] data index block(i, objects) using 1:2:3:4 with yerrorlines \
    lc rgb colour(i) lw 1.6 pt mark(i) ps 0.75 notitle"

# One legend for both panels: a plot of nothing, below them.
draw_legend = "plot [0:1] [0:1] \
  for [i = first : 1] NaN with lines lc rgb colour(1) lw 1.6 dt 2 title title(1), \
  for [i = 2 : count] NaN with linespoints lc rgb colour(i) lw 1.6 pt mark(i) ps 0.75 \
    title title(i)"

do for [figure in "speed_up time"] {
  file = dir . (figure eq "time" ? "/headline_time" : "/headline")
  do for [format in "svg png"] {
    if (format eq "svg") {
      set terminal svg size 1200,620 dynamic enhanced font "DejaVu Sans,13" background rgb "white"
    } else {
      set terminal pngcairo size 1800,930 enhanced font "DejaVu Sans,13" fontscale 1.4 \
        linewidth 1.5 pointscale 1.4 background rgb "white"
    }
    set output file . "." . format
    set multiplot layout 1,2 margins 0.09, 0.985, 0.25, 0.84 spacing 0.07, 0 \
      title heading(figure eq "time" ? "Time of a round (median, bars: quartiles)" : \
                    "Speed-up against a serial loop (median, bars: quartiles)")
    do for [panel = 1 : 2] {
      objects = panel == 1 ? 1 : 8
      set title panel_title(objects) offset 0, -0.6
      unset label
      if (figure eq "time") {
        set yrange [least_time * 0.7 : most_time * 1.5]
        set ytics ("100 ns" 0.1, "1 µs" 1, "10 µs" 10, "100 µs" 100, "1 ms" 1000, "10 ms" 10000, \
                   "100 ms" 100000)
        set ylabel (panel == 1 ? "time of a round" : "") offset 0.7
      } else {
        set yrange [least_speed_up * 0.7 : cores * 2]
        set ytics ("0.001" 0.001, "0.01" 0.01, "0.1" 0.1, "1" 1, "10" 10, "100" 100)
        set ylabel (panel == 1 ? "speed-up" : "")
        set label 1 "serial loop" at graph 0.99, first 1 right offset 0, -0.6 tc rgb "#666666"
        set label 2 sprintf("%d cores", cores) at graph 0.01, first cores left offset 0, 0.5 \
          tc rgb "#666666"
      }
      eval (figure eq "time" ? draw_time : draw_speed_up)
    }
    first = figure eq "time" ? 1 : 2
    set lmargin at screen 0.02
    set rmargin at screen 0.98
    set bmargin at screen 0.005
    set tmargin at screen 0.115
    unset border; unset tics; unset grid; unset xlabel; unset ylabel; unset title; unset label
    unset logscale
    set key center center horizontal maxcols 4 Left reverse samplen 3 width 1
    eval draw_legend
    unset multiplot
    @look
    unset output
  }
}
