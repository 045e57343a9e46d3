parser p() {
    state start { transition next; }
    state next { transition start; }
}
