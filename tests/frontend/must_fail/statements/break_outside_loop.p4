control c() {
    apply {
        break;
        continue;
    }
}
